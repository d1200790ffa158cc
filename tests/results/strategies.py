"""Values that a dataset may have, for property tests: plain ones, and objects of further classes."""

import enum
from collections import OrderedDict, deque, namedtuple
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
hashable = st.recursive(
    st.one_of(st.integers(), texts, st.booleans(), st.none()),
    lambda inner: st.one_of(st.frozensets(inner, max_size=3), st.lists(inner, max_size=3).map(tuple)),
    max_leaves=4,
)
values: st.SearchStrategy[Any] = st.recursive(
    st.one_of(scalars, arrays, arrays.filter(lambda array: array.size > 0).map(lambda array: array.flat[0])),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(hashable, inner, max_size=3),
        st.dictionaries(texts, inner, max_size=3).map(OrderedDict),
        st.sets(hashable, max_size=3),
        st.frozensets(hashable, max_size=3),
        st.lists(st.integers(-5, 5), max_size=4),
        st.lists(st.floats(), max_size=4),
        st.lists(st.lists(st.floats(), min_size=2, max_size=2), max_size=3),
        st.lists(arrays.map(np.atleast_1d), max_size=2).map(lambda items: items[:1] * len(items)),
    ),
    max_leaves=8,
)

structures = hnp.arrays(
    st.one_of(
        hnp.array_dtypes(
            st.one_of(hnp.scalar_dtypes(), hnp.byte_string_dtypes(), hnp.unicode_string_dtypes())
        ),
        hnp.nested_dtypes(hnp.scalar_dtypes(), max_leaves=4),
        hnp.byte_string_dtypes(max_len=4),
        hnp.unicode_string_dtypes(max_len=4),
    ),
    hnp.array_shapes(min_dims=0, max_dims=2, min_side=0, max_side=2),
)
_Pair = namedtuple("_Pair", "x y")


class _Shade(enum.Enum):
    DARK = 1


class _Items(list[Any]):
    """A subclass of list."""


class _Odd:
    """A class that nothing knows."""


objects: st.SearchStrategy[Any] = st.recursive(
    st.one_of(
        values,
        structures,
        st.datetimes(),
        st.dates(),
        st.timedeltas(),
        st.decimals(allow_nan=False),
        st.builds(_Odd),
        st.just(_Shade.DARK),
        st.just(np.ma.masked),
        st.just(...),
        st.builds(range, st.integers(-5, 5), st.integers(-5, 5)),
        hnp.arrays(float, 3).map(lambda array: np.ma.array(array, mask=[True, False, False])),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(_Items),
        st.lists(inner, max_size=3).map(deque),
        st.tuples(inner, inner).map(lambda pair: _Pair(*pair)),
        st.dictionaries(hashable, inner, max_size=2),
        st.lists(inner, max_size=3).map(lambda items: np.array([*items, None], object)[:-1]),
        st.builds(slice, inner, inner, inner),
    ),
    max_leaves=5,
)
