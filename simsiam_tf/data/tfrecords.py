"""TensorFlow Datasets as a data source: small sets are read into memory, large ones record by record.

Random access to single TFRecords (rather than a shuffle buffer) gives streamed sets what all others have: a
true shuffle of every epoch, subsets, and a resume that need not read what it skips.
"""

import io
import os

import numpy as np
import tensorflow as tf

from simsiam_tf.data.decode import UnreadableImage, first_line
from simsiam_tf.data.files import FileImages
from simsiam_tf.data.loading import Kept, RawImages
from simsiam_tf.data.record_index import UNKNOWN, RecordIndex
from simsiam_tf.data.remembered import AT_ONCE
from simsiam_tf.errors import InputError


def tfds(request):
    """Train and test images of the TFDS set `request.name`, prepared in `request.path` or downloaded to it.

    Raises:
        InputError: unknown set or split, a set that is neither prepared nor can be downloaded, or one without
            uint8 images.
    """
    builder = _builder(request)
    train = _split(builder, request.train_split, "data.train_split", request, request.views)
    if not request.own_test or not request.test_split:
        return train, None
    return train, _split(builder, request.test_split, "data.test_split", request, views=False)


def _builder(request):
    import tensorflow_datasets as tfds  # Half a second, which the other sources need not wait for.

    path = None if request.path is None else os.path.expanduser(request.path)
    place = path or tfds.core.constants.DATA_DIR
    try:
        builder = tfds.builder(request.name, data_dir=path)
    except (tfds.core.DatasetNotFoundError, ValueError, ImportError) as error:
        raise InputError(
            f"data.name: {request.name} is not a TFDS set, nor prepared in data.path {place} "
            f"({first_line(error)}); see tensorflow.org/datasets/catalog for names"
        ) from error
    if not builder.is_prepared():
        try:
            builder.download_and_prepare()
        except Exception as error:
            # The network, the disk, a manual download, a missing package: all end the same way.
            raise InputError(
                f"data.name: {request.name} is not prepared in data.path {place} and cannot be downloaded "
                f"({first_line(error)}); prepare it on a machine with a network and give its folder as "
                "data.path"
            ) from error
    return builder


def _split(builder, split, argument, request, views):
    known = ", ".join(builder.info.splits)
    try:
        n = builder.info.splits[split].num_examples
    except (KeyError, ValueError) as error:
        raise InputError(
            f"{argument}: {split} is not a split of {builder.name}, known: {known}; "
            "name one of these, or set data.validation_fraction to hold out a test part"
        ) from error
    image = _feature(builder, "image")
    if not (_is_tensor(image, rank=3) and image.tf_dtype == tf.uint8):
        raise InputError(
            f"data.name: {builder.name} has no feature image of uint8 pixels, but "
            f"{', '.join(builder.info.features)}; "
            "use an image classification set"
        )
    shape = None if None in image.shape else image.shape[:2]
    if shape is not None:
        batch = RawImages(np.empty((0, *image.shape), np.uint8), f"{builder.name}/{split}", request.form)
        batch.views = views
        if n * batch.bytes_each <= request.memory_limit:
            return _read(builder, split, n, batch)
    return RecordImages(builder, split, request.form, shape)


def _feature(builder, name):
    features = builder.info.features  # a mapping without get()
    return features[name] if name in features else None  # noqa: SIM401


def _is_tensor(feature, rank):
    """Not absent, nor a feature of several tensors, whose shape is a dict."""
    return isinstance(getattr(feature, "shape", None), tuple) and len(feature.shape) == rank


def _has_labels(builder):
    label = _feature(builder, "label")
    return _is_tensor(label, rank=0) and label.tf_dtype.is_integer


def _class_names(builder):
    names = getattr(_feature(builder, "label"), "names", None)
    return None if names is None else tuple(names)


def _read(builder, split, n, like):
    """All images of a set of one fixed shape, in the order of the records, straight into the final arrays.

    Args:
        like: RawImages of that shape, without any images.
    """
    import tensorflow_datasets as tfds

    wanted = {"image": True} | ({"label": True} if _has_labels(builder) else {})
    dataset = builder.as_dataset(
        split=split,
        batch_size=1024,
        shuffle_files=False,
        decoders=tfds.decode.PartialDecoding(wanted),
        read_config=tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False),
    )
    kept, labels = Kept(like, n), np.full(n, -1)
    for batch in dataset.as_numpy_iterator():
        rows = slice(kept.count, kept.count + len(batch["image"]))
        labels[rows] = batch.get("label", -1)
        kept.add(*like.made_of(batch["image"]))
    # TFDS marks the withheld labels of a test split with -1.
    labels = None if (labels < 0).any() else labels
    return kept.images(None, labels, _class_names(builder))


class RecordImages(FileImages):
    """Records of a prepared TFDS split; ids are record numbers. Memory holds only their places and labels."""

    def __init__(self, builder, split, form, shape):
        import tensorflow_datasets as tfds

        if builder.info.file_format != tfds.core.FileFormat.TFRECORD:
            raise InputError(
                f"data.name: {builder.name} is stored as {builder.info.file_format.value} and too large to "
                "load; "
                "prepare it with file_format tfrecord, or raise data.memory_limit_gb"
            )
        parts = builder.info.splits[split].file_instructions
        self._index = RecordIndex(builder.name, [os.fspath(part.filename) for part in parts])
        # `take` is -1 for "to the end" when a split such as train[:10%] cuts files.
        rows = [
            self._index.rows(i)[part.skip :][: part.take if part.take >= 0 else None] for i, part in enumerate(parts)
        ]
        self._rows = np.concatenate(rows)  # of the index
        self._labelled = _has_labels(builder)
        ids = np.arange(len(self._rows)).astype(str)
        about = f"{builder.name}/{split}", form, ids, None, _class_names(builder)
        super().__init__(builder.data_path, *about, shape)

    @property
    def labels(self):
        """Labels of these records, read from disk at the first use, or remembered from an earlier time."""
        if self._labels is None and self._labelled:
            labels = self._read_labels()
            self._labelled = bool((labels >= 0).all())
            self._labels = labels if self._labelled else None
        return self._labels

    def _read_labels(self):
        rows = self._rows[self.ids.astype(np.int64)]
        unknown = np.flatnonzero(self._index.labels[rows] == UNKNOWN)
        found = self._each(lambda place: self._label(self.ids[place]), "reading labels of", unknown)
        for count, (place, label) in enumerate(found, start=1):
            self._index.labels[rows[place]] = label
            if count % AT_ONCE == 0 or count == len(unknown):  # an interrupted reading goes on from there
                self._index.keep()
        return self._index.labels[rows]

    def measured(self):
        """Itself: a look at each header would read the whole set, and TFDS wrote it from intact images."""
        return self

    def open(self, image_id):
        return io.BytesIO(self._features(image_id)["image"].bytes_list.value[0])

    def _label(self, image_id):
        try:
            return self._features(image_id)["label"].int64_list.value[0]
        except UnreadableImage:
            return 0  # A damaged record takes over image and label of the next good one when it is read.

    def _features(self, image_id):
        data = self._index.record(self._rows[int(image_id)])
        try:
            return tf.train.Example.FromString(data).features.feature
        except Exception as error:  # protobuf's DecodeError
            raise UnreadableImage("damaged TFRecord") from error
