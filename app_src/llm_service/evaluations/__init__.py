"""How good an answer is beside a reference: by rule, and by a model where one is asked."""
