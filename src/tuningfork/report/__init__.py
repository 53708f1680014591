"""Something to look at: a run's log and its verdict as text (`text`, `live`) and as one HTML file (`html`, `charts`).

Reads the log and the verdict in their plain form (`verdict.to_dict()`), calls no model and decides nothing.
"""
