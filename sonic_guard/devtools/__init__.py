"""Where the model's constants come from: the wrapper's own code, traced without a GPU or measured on one.

Nothing here is needed to predict, plan or run; everything here needs torch and a Sonic checkout.
"""
