"""Variants of VCF files: windows around them, zero-shot scores of language models, files."""
