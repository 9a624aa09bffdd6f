"""Linear probes: logistic and ridge regression of every layer, fold and penalty, certified."""
