"""Values into a layout."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from isthmus.summary import Layout, Summary


def filled(layout: Layout, values: Mapping[str, Any]) -> Summary:
    """The fields of `layout` out of `values` (numbers or arrays), in its types and shapes; other values are left out."""
    made: dict[str, Any] = {f.name: np.asarray(values[f.name], dtype=f.dtype).reshape(f.shape) for f in layout.fields}
    return Summary(layout, made)
