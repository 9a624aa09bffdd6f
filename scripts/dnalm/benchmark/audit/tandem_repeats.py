"""Tandem repeats of short units (microsatellites) such as CACACA: unrelated places share these.

Shapes: n bases of all sequences, one after the other, R sequences.
"""

import numpy as np

from dnalm.compiled import compiled

MAX_UNIT = 6  # bases
MIN_REPEATED = 12  # bases that equal those one unit before: shorter repeats arise by chance


@compiled
def find_tandem_repeats(codes, starts):
    """Return the mask of tandem repeats, bool [n]: units of up to six bases, and what repeats them.

    A repeat is a unit with twelve bases or more behind it that equal those one unit before.
    `codes` are A T C G N = 0 .. 4, `starts` [R + 1] those of the sequences; N repeats nothing.
    """
    inside = np.zeros(len(codes), dtype=np.bool_)
    for row in range(len(starts) - 1):
        start, stop = starts[row], starts[row + 1]
        for unit in range(1, MAX_UNIT + 1):
            equal = 0
            for i in range(start + unit, stop + 1):  # at `stop` the last run ends, too
                if i < stop and codes[i] == codes[i - unit] and codes[i] < 4:
                    equal += 1
                    continue
                if equal >= MIN_REPEATED:
                    inside[i - equal - unit : i] = True
                equal = 0
    return inside
