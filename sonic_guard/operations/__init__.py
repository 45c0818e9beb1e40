"""What each node does, as one function from a request to a result.

A node's `execute` calls it with real pictures and sounds, the live preview with what is known of them: a size, a
length, a lazy search for faces. Requests check the values that come over links, and results hold everything that the
node gives out and the preview shows. Pure, apart from the search for faces and `preset_files`, which reads presets.
"""
