"""The benchmark of learning-rate finders: how much worse than the best learning rate is the one that they find?"""
