"""The two listeners: public for amoCRM, private for operators."""
