"""Values that a dataset may have, for property tests."""

from collections import OrderedDict
from fractions import Fraction
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

numbers = st.one_of(st.integers(-(2**70), 2**70), st.floats(), st.booleans(), st.complex_numbers())
texts = st.text(st.characters(exclude_categories=[]), max_size=8)
arrays = hnp.arrays(
    st.one_of(
        hnp.integer_dtypes(),
        hnp.unsigned_integer_dtypes(),
        hnp.floating_dtypes(),
        hnp.complex_number_dtypes(),
        hnp.boolean_dtypes(),
        hnp.datetime64_dtypes(max_period="D", min_period="s"),
    ),
    hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3),
)
scalars = st.one_of(st.none(), numbers, texts, st.binary(max_size=8), st.fractions().map(Fraction))
hashable = st.one_of(st.integers(), texts, st.booleans())
values: st.SearchStrategy[Any] = st.recursive(
    st.one_of(scalars, arrays, arrays.filter(lambda array: array.size > 0).map(lambda array: array.flat[0])),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(hashable, inner, max_size=3),
        st.dictionaries(texts, inner, max_size=3).map(OrderedDict),
        st.sets(hashable, max_size=3),
        st.lists(st.integers(-5, 5), max_size=4),
        st.lists(st.floats(), max_size=4),
        st.lists(st.lists(st.floats(), min_size=2, max_size=2), max_size=3),
        st.lists(arrays.map(np.atleast_1d), max_size=2).map(lambda items: items[:1] * len(items)),
    ),
    max_leaves=8,
)
