"""A model of your own: p(x_i | earlier ones) by one linear layer. plausibly fit DATA --model my_model.py:Linear"""

from plausibly.author import AutoregressiveModel, Head, Inputs, MaskedLinear, MaximumLikelihood


class Linear(AutoregressiveModel):
    family, formula = "autoregressive", "n (n - 1) + n"
    objective = MaximumLikelihood()

    def __init__(self, schema):  # further arguments, kept under their names, become settings: --set NAME=VALUE
        super().__init__()
        self.schema, self.order = schema, tuple(range(schema.size))
        self.inputs, self.head = Inputs(schema, self.order[:-1]), Head(schema)  # nothing sees the last variable
        self.layer = MaskedLinear(self.inputs.width, self.head.width, strict=True)

    def initialise_from(self, x):  # starts at the marginals of the training rows
        self.layer.bias.data.copy_(self.head.marginals(x))

    def predict(self, x):
        return self.head(self.layer(self.inputs(x), self.inputs.owner, self.head.owner))
