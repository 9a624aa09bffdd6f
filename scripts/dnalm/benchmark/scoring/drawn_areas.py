"""Area under the ROC curve on many bootstrap draws, in one pass over the ranked rows."""

import numpy as np

from dnalm.compiled import compiled


@compiled
def drawn_areas(times, order, positive, last):
    """Return the area of each draw, float64 [N]; nan where one of both classes was not drawn.

    `times` [R, N] hold how often each row was drawn, `order` [R] the rows by ascending value,
    `positive` and `last` bool [R], in this order, whether a row is of the class and whether the
    next one has another value.
    """
    draws = times.shape[1]
    won, positives, negatives = np.zeros(draws), np.zeros(draws), np.zeros(draws)
    equal_positives, equal_negatives = np.zeros(draws), np.zeros(draws)
    for i in range(len(order)):
        row = order[i]
        if last[i] and (i == 0 or last[i - 1]):  # no other row has this value
            if positive[i]:
                for n in range(draws):
                    won[n] += times[row, n] * negatives[n]
                    positives[n] += times[row, n]
            else:
                for n in range(draws):
                    negatives[n] += times[row, n]
            continue
        if positive[i]:
            for n in range(draws):
                equal_positives[n] += times[row, n]
        else:
            for n in range(draws):
                equal_negatives[n] += times[row, n]
        if last[i]:
            for n in range(draws):
                won[n] += equal_positives[n] * (negatives[n] + equal_negatives[n] / 2)
                positives[n] += equal_positives[n]
                negatives[n] += equal_negatives[n]
            equal_positives[:] = 0
            equal_negatives[:] = 0
    areas = np.empty(draws, np.float64)
    for n in range(draws):
        pairs = positives[n] * negatives[n]
        areas[n] = won[n] / pairs if pairs > 0 else np.nan
    return areas
