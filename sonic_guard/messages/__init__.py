"""Every text a user reads, in English and Chinese.

The modules `*_texts` hold the texts, as data. The modules `*_messages` fill numbers and names into them and decide
nothing. Texts about one optimization are in `optimizations.OPTIMIZATIONS`.
"""
