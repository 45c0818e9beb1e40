"""Development tools: derive the memory model's constants by shape tracing, and compare the model with a real GPU.

Not needed to predict, plan or run. Everything here needs torch and a checkout of the Sonic wrapper.
"""
