"""Virtual time: the product's rules against a plant of numbers, far faster than real."""
