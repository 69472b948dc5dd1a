"""What the options of `simsiam-tf train` come to."""

from simsiam_tf.settings import files


def parse(*arguments):
    return files.parse(files.OneLineParser(prog="simsiam-tf train"), list(arguments))[1]
