"""Tolerances of the solvers: how close to its optimum a linear model has to come.

They decide scores in part, so that what is kept of a finished feature set is found again only with
the same ones.
"""

# Largest gradient component at which a fit of scikit-learn's ends. Its own 1e-4 leaves strongly
# fitted models (large C) so far from the optimum that test predictions depend on the start.
MAX_GRADIENT = 1e-8
# Distance from the optimum, as a share of the objective, at which a batched fit ends; and the
# largest with which it counts as converged. Predictions then are those of the exact optimum but for
# a row or two.
TARGET_GAP = 1e-7
MAX_CERTIFIED_GAP = 1e-6
