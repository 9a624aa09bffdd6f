"""The names of the schemes of cross-validation; the configuration reads them, too."""

KFOLD, SHUFFLE = "kfold", "shuffle"  # of rows, by class
GROUP_KFOLD, LEAVE_ONE_GROUP_OUT, GIVEN = "grouped", "leave_one_group_out", "given"
GROUPED = (GROUP_KFOLD, LEAVE_ONE_GROUP_OUT, GIVEN)  # of whole groups of rows
SCHEMES = (KFOLD, SHUFFLE, *GROUPED)
