"""The data that the tests of scikit-learn loops share: inputs, and targets of every kind."""

import numpy as np

GENERATOR = np.random.default_rng(1)
X = GENERATOR.normal(size=(30, 4))
NUMBERS = X @ [1.0, -2.0, 0.5, 0.0] + 0.3
BINARY = np.where(X[:, 0] + X[:, 1] > 0, "yes", "no")
THREE = np.digitize(X[:, 0], [-0.5, 0.5])
SEVERAL = np.column_stack([X[:, 0] > 0, X[:, 1] > 0, X[:, 2] > 0.3]).astype(int)
COUNTS = GENERATOR.poisson(2, 30)
