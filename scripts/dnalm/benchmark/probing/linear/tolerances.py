"""How close to its optimum a linear model has to come: part of what decides a score.

What is kept of a finished feature set is found again with these alone.
"""

# Largest gradient component at which a fit of scikit-learn's ends. Its own 1e-4 leaves strongly
# fitted models (large C) so far from the optimum that test predictions depend on the start.
GRADIENT = 1e-8
# Distance from the optimum, as a share of the objective, at which a batched fit ends; and the
# largest with which it counts as one. Predictions then are those of the exact optimum but for a
# row or two.
GAP = 1e-7
CERTIFIED = 1e-6
