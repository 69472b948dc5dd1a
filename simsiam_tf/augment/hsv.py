"""Pillow's 8-bit HSV, bit for bit on all 256^3 colours each way, eager and compiled.

Arguments and results are planes (n, h, w), float32, of whole numbers from 0 to 255.
"""

import tensorflow as tf


def rgb_to_hsv(red, green, blue):
    """Hue and saturation in whole 255ths, fractions cut off; value (Pillow, Convert.c, rgb2hsv_row).

    Equal to Pillow's for every colour; grays, whose hue has no meaning, get another than its 0.
    """
    value = tf.maximum(tf.maximum(red, green), blue)
    least = tf.minimum(tf.minimum(red, green), blue)
    chroma = value - least
    ahead = tf.where(blue == least, green - red, tf.where(red == least, blue - green, red - blue))
    start = tf.where(blue == least, 1.0, tf.where(red == least, 3.0, tf.where(red > blue, -1.0, 5.0)))
    # Sixths of a turn. A fraction is at least 1/510 away from a whole 255th. Where it is whole, Pillow's float32
    # decides, which is repeated here: it rounds the quotient and the sum, and so falls short one time in four.
    sixths = start + quotient(ahead, tf.maximum(chroma, 1.0))
    hue = tf.floor(sixths * 42.5 + 1e-3)
    rest = (256 * sixths - 6 * hue) - sixths  # 255 * sixths - 6 * hue, free of rounding
    hue = tf.where(sixths < 0, hue + 255, hue)
    # Pillow's next rounding, of sixths / 6, mends the smaller ones; the bound holds for all 256 hues.
    hue -= tf.where(rest < -(2.0**-23) * hue, 1.0, 0.0)
    # The half keeps whole quotients whole on devices that divide less exactly.
    saturation = tf.floor(divide(chroma * 255 + 0.5, tf.maximum(value, 1.0)))
    return hue, saturation, value


def quotient(dividend, divisor):
    """Of whole numbers up to 255 in size, rounded as IEEE 754 has it even where `divide` is off by two last places.

    What is left of the dividend after a quotient of 16 bits is exact, and so small that its own error does not count.
    """
    first = tf.round(divide(dividend, divisor) * 2**16) * 2**-16
    return first - divide(first * divisor - dividend, divisor)  # a sum would be merged with others by TensorFlow


def divide(dividend, divisor):
    """The device's own division; code for NVIDIA's GPUs may miss the last places (PTX, div.full.f32)."""
    return dividend / divisor


def hsv_to_rgb(hue, saturation, value):
    """Inverse of `rgb_to_hsv` without branches: each channel is the value less a trapezoid over the hue.

    Equal to Pillow's for every colour. All numbers are whole and below 2^24, hence exact in float32 on every
    device, and so is the quotient after the cut.
    """
    sixths, depth = hue * 6, value * saturation

    def channel(lack):
        return value - tf.floor((depth * tf.clip_by_value(lack, 0.0, 255.0) + 32512) * (1 / 255**2))

    return [
        channel(510 - tf.abs(sixths - 765)),
        channel(tf.abs(sixths - 510) - 255),
        channel(tf.abs(sixths - 1020) - 255),
    ]
