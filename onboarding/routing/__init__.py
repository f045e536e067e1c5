"""How a message is read: glosses, features, trained classifiers and the grammar of known names."""
