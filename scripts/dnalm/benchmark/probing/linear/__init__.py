"""Linear and logistic regression of every layer, fold and penalty, certified."""
