"""What the pooled sums of a mixed model tell about single groups, and the counts that hold it to the rules.

At theta the sums are sums over groups of functions of the group's size and of its own sums s_g of the columns and the
outcome: s_g s_g' theta^2 / (1 + theta^2 n_g), and log(1 + theta^2 n_g). Asked at as many theta as there are different
sizes, they can be solved for the total of the s_g s_g' of each size; where one group alone has its size, that is its
own sums. So with `site` as the group and a few sites, each site's sums come out, to the last digit.

Two counts stand against it, held like the sides of a comparison (0 or `minimum_count`), at each site as if all others
gave their parts away:

* of each size, the rows of a group of it or the number of groups that have it: nothing about fewer people comes out;
* of each size, the number of groups that have it, or by how many the unknown sums of groups of sizes at most as common
  exceed the numbers that leave: what is about one group stays open.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.summary import IntArray


def unknowns(columns: int, random: int) -> int:
    """Sums of one group that the rounds mix: of its columns and outcome by each random column, each product once."""
    return columns * random - random * (random - 1) // 2


def of_groups(sizes: NDArray[Any], sums: int, numbers: int) -> dict[str, IntArray]:
    """Of this site's groups by their `sizes` (groups,); `sums` unknown of each; `numbers` that leave at most."""
    rows, common = np.unique(sizes, return_counts=True)
    unknown = np.array([sums * int(common[common <= own].sum()) for own in common], dtype=np.int64)
    left = np.maximum(unknown - numbers, 1)
    return {
        "rows of a group, or groups of its size": np.maximum(rows, common).astype(np.int64),
        "groups of one size, or sums that stay open": np.maximum(common, left).astype(np.int64),
    }


def of_sites(sizes: NDArray[Any], sites: int, sums: int, numbers: int) -> dict[str, IntArray]:
    """Where this site is one group: its rows, and what stays open of the other sites' sums to one of them."""
    left = max((sites - 1) * sums - numbers, 1)
    return {
        "rows of a group, or groups of its size": np.asarray(sizes, dtype=np.int64),
        "sums of sites that stay open": np.array([left], dtype=np.int64),
    }
