"""How the class score that ships with Winnow was made: simulate, classify, label from the truth, fit, check.

Nothing of Winnow imports this; it needs scikit-learn (pip install '.[training]').
"""
