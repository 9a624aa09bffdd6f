"""Which bases lie in tandem repeats of short units, such as CACACA: unrelated places share these.

Shapes: n bases of all sequences, one after the other, R sequences.
"""

import numpy as np

from dnalm.compiled import compiled

LONGEST_UNIT = 6
SHORTEST = 12  # bases that equal those one unit before: shorter repeats arise by chance


@compiled
def find_tandems(codes, starts):
    """Return a bool [n]: whether a base lies in a unit of up to six bases or twelve that repeat it.

    `codes` are A T C G N = 0 .. 4, `starts` [R + 1] those of the sequences; N repeats nothing.
    """
    inside = np.zeros(len(codes), dtype=np.bool_)
    for row in range(len(starts) - 1):
        start, stop = starts[row], starts[row + 1]
        for unit in range(1, LONGEST_UNIT + 1):
            equal = 0
            for i in range(start + unit, stop + 1):
                if i < stop and codes[i] == codes[i - unit] and codes[i] < 4:
                    equal += 1
                    continue
                if equal >= SHORTEST:
                    inside[i - equal - unit : i] = True
                equal = 0
    return inside
