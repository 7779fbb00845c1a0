"""A numpy decoder for small Qwen2 models on a CPU, in a process of its own.

weights.py reads the files, decoder.py is the model, sampling.py chooses tokens, batch.py decodes many requests together,
completion.py turns tokens into text, answers.py and server.py speak OpenAI's HTTP; engine.py starts it all from the node.
"""
