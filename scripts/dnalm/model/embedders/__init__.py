"""Models that are not ours, behind one contract: states of tokens, and which bases they cover.

`opening` opens one, `stock` is what `transformers` knows, `contract` what each has to answer,
`agreement` whether its states are those of a sequence alone, `spans` pools them by our rule. The
contract is told in docs/how-to/foreign-models.md.
"""
