"""The JSON Schemas that are generated from the models and shipped beside them."""

import json
from typing import Final

from pydantic import BaseModel

from schemas.device_db import DeviceDB
from schemas.report import ReportModel

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

FILES: Final[dict[str, type[BaseModel]]] = {
    "device_db.schema.json": DeviceDB,
    "report.schema.json": ReportModel,
}
"""File name in this folder, the model that it is generated from."""


def render(model: type[BaseModel]) -> str:
    """Return the text of the schema file of a model."""
    schema = {"$schema": DIALECT, **model.model_json_schema(mode="validation")}
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
