"""`pivot doctor`: what is wrong with a host, before and after its start, and what to do about each thing.

Every check is a function from facts to one finding. Facts are gathered in `network_node.py` and `ml_server.py`; nothing is
changed, no key is made, nothing is sent to the chain.
"""
