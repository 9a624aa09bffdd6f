"""An invented genome with genes, promoters and enhancers."""
