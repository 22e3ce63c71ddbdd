"""All methods: importing this module declares them, without TensorFlow."""

from deepvis.attribution import activation_maps, gradients, occlusion, relu_rules

MODULES = (activation_maps, gradients, occlusion, relu_rules)
