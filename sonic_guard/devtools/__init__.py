"""Development tools: the memory model's constants by shape tracing, its comparison with a real GPU, random weights.

Not needed to predict, plan or run. Everything here needs torch and a checkout of the Sonic wrapper.
"""
