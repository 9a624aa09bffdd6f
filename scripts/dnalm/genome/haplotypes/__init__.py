"""Phased variants of a panel, stored per contig, and the bases of every haplotype."""
