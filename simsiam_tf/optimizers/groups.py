"""A method's variables in groups, each under an optimizer of its own (Chen & He 2021, sec. 4.2)."""

import re
from dataclasses import asdict, dataclass

import keras
import tensorflow as tf

from simsiam_tf.errors import InputError
from simsiam_tf.optimizers.lars import LARS
from simsiam_tf.optimizers.schedules import Constant, EpochCosine, Resting
from simsiam_tf.optimizers.sgd import SGD
from simsiam_tf.settings.optimizers import OPTIMIZERS, OptimizerSettings

CLASSES = {"sgd": SGD, "lars": LARS, "adamw": keras.optimizers.AdamW}


@dataclass(frozen=True)
class Group:
    """Variables that share a learning rate.

    Args:
        name: Of the group, and of its optimizer.
        layers: Layers whose variables these are; (): all that no other group has.
        ratio: Learning rate over that of the run.
        schedule: "cosine", the run's, warm-up included; or "constant", the initial rate from the first step on
            (official --fix-pred-lr, sec. 4.2).
        weight_decay: Of its own; None: the run's.
        rest: Steps at the beginning in which nothing moves them: no decay, and no momentum builds up. Their gradient
            has to be zero in these, which is the method's affair.
    """

    name: str
    layers: tuple = ()
    ratio: float = 1.0
    schedule: str = "cosine"
    weight_decay: float | None = None
    rest: int = 0

    @property
    def pattern(self):
        """Full-matched against variable.path: the variables of layers of these names, at any depth."""
        names = "|".join(re.escape(layer.name) for layer in self.layers)
        return rf"(.*/)?({names})/.*"

    def holds(self, variable):
        """Whether it is a variable of these layers."""
        return any(each is variable for layer in self.layers for each in layer.trainable_variables)


def make_optimizer(model, steps_per_epoch, name="sgd", **settings):
    """The optimizer of a method: one for each of its groups.

    Args:
        model: A method; anything with `groups()`.
        steps_per_epoch: Steps in an epoch.
        name: "sgd", "lars" or "adamw".
        **settings: Fields of `settings.optimizers.OPTIMIZERS[name]`: learning_rate (times batch_size / 256),
            batch_size, epochs, weight_decay and more; defaults are those of the CIFAR-10 recipe.

    Returns:
        keras.optimizers.Optimizer, a MultiOptimizer where there is more than one group; see `learning_rates` and
        `check_groups`.

    Raises:
        InputError: a setting is unknown or out of its range.
    """
    if not hasattr(model, "groups"):
        raise InputError(f"model: {model!r} has no groups(); give make_optimizer(model, steps_per_epoch, ...)")
    if name not in OPTIMIZERS:
        raise InputError(f"optimizer.name: {name!r} is unknown; give one of {', '.join(OPTIMIZERS)}")
    known = OPTIMIZERS[name].__dataclass_fields__.keys()
    if unknown := settings.keys() - known:
        raise InputError(f"optimizer.{min(unknown)}: unknown; give one of {', '.join(known)}")
    settings = OPTIMIZERS[name](**settings)
    first, *others = model.groups()
    for variable in model.trainable_variables:
        matching = [group for group in others if re.fullmatch(group.pattern, variable.path)]
        if matching != [group for group in others if group.holds(variable)] or len(matching) > 1:
            raise ValueError(f"{variable.path}: its name puts it into another group; give each layer a name of its own")
    default = _optimizer(settings, first, steps_per_epoch)
    if not others:
        return default
    by_pattern = {group.pattern: _optimizer(settings, group, steps_per_epoch) for group in others}
    return keras.optimizers.MultiOptimizer(keras.optimizers.OptimizerMap(default, by_pattern), name="groups")


def _optimizer(settings, group, steps_per_epoch):
    s = settings
    rate = group.ratio * s.learning_rate * s.batch_size / 256
    if group.schedule == "constant":
        schedule = Constant(rate)
    else:
        schedule = EpochCosine(rate, steps_per_epoch, s.epochs, s.warmup_epochs)
    if group.rest:
        schedule = Resting(schedule, group.rest)
    common = OptimizerSettings.__dataclass_fields__.keys()
    own = {key: value for key, value in asdict(s).items() if key not in common}
    decay = s.weight_decay if group.weight_decay is None else group.weight_decay
    return CLASSES[s.name](schedule, weight_decay=decay, name=group.name, **own)


def _parts(optimizer):
    """The optimizers that do the work, the default one last, inside loss scaling and MultiOptimizer."""
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    return list(getattr(optimizer, "optimizers", [optimizer]))


def learning_rates(optimizer):
    """The rates of the next step: {"learning_rate": float} and "<name>_learning_rate" of each other part.

    With SimSiam's groups that is "learning_rate" and "predictor_learning_rate"; any Keras optimizer will do.
    """
    *others, default = _parts(optimizer)
    rates = {"learning_rate": default, **{f"{part.name}_learning_rate": part for part in others}}
    return {key: float(tf.convert_to_tensor(part.learning_rate)) for key, part in rates.items()}


def variable_counts(optimizer):
    """How many variables each part of a built optimizer trains, {name: count}."""
    return {part.name: len(part._trainable_variables) for part in _parts(optimizer)}


def check_groups(model):
    """Check that each trainable variable is trained by the optimizer of its group, and by no other.

    Args:
        model: A compiled method whose optimizer, from `make_optimizer`, is built. The routing goes by path, so a second
            layer of a group's name would silently get that group's learning rate.

    Raises:
        ValueError: a variable went elsewhere, to two of them, or to none.
    """
    trained = {part.name: [v.path for v in part._trainable_variables] for part in _parts(model.optimizer)}
    first, *others = model.groups()
    expected = {group.name: [v.path for layer in group.layers for v in layer.trainable_variables] for group in others}
    taken = {id(v) for group in others for layer in group.layers for v in layer.trainable_variables}
    expected[first.name] = [v.path for v in model.trainable_variables if id(v) not in taken]
    for name in expected | trained:
        if sorted(expected.get(name, [])) != sorted(trained.get(name, [])):
            strays = set(expected.get(name, [])) ^ set(trained.get(name, []))
            raise ValueError(
                f"the optimizer of group {name!r} trains {len(trained.get(name, []))} variables instead of "
                f"{len(expected.get(name, []))}, such as {min(strays, default='one twice')}; give each layer a name "
                "of its own"
            )
