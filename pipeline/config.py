"""Configs: a TOML file into one frozen dataclass a stage; unknown keys are refused by name."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from pipeline.classify import ClassifyConfig
from pipeline.clean import CleanConfig
from pipeline.errors import ConfigError
from pipeline.passes import DuplicatesConfig, TemplatesConfig
from pipeline.privacy import PrivacyConfig
from pipeline.segment import SegmentConfig
from pipeline.stage import check_order
from pipeline.tag import TagConfig

_INSTALLED = Path(__file__).parent / "_home"
HOME = _INSTALLED if _INSTALLED.is_dir() else Path(__file__).parent.parent
"""Where `configs/` and `models/` lie: in the wheel, or in the checkout."""

_MODELS = HOME / "models"
_Section = TypeVar("_Section")


@dataclass(frozen=True)
class Config:
    """Everything that decides a run's output, other than the input and the models' weights."""

    stages: tuple[str, ...] = ("clean", "segment", "tag", "classify", "privacy")
    clean: CleanConfig = CleanConfig()
    segment: SegmentConfig = SegmentConfig(_MODELS / "segmenter")
    tag: TagConfig = TagConfig(_MODELS / "tagger")
    classify: ClassifyConfig = ClassifyConfig(_MODELS / "classifier")
    privacy: PrivacyConfig = PrivacyConfig()
    templates: TemplatesConfig = TemplatesConfig()
    duplicates: DuplicatesConfig = DuplicatesConfig()

    def model_folders(self) -> dict[str, Path]:
        """The model folder of each stage that runs and has one."""
        sections = {name: getattr(self, name) for name in self.stages}
        return {name: section.model for name, section in sections.items() if hasattr(section, "model")}

    def to_dict(self) -> dict[str, Any]:
        """The settings of what runs, for the manifest: paths by their last name alone."""
        passes = [name for name in ("templates", "duplicates") if getattr(self, name).is_on and name not in self.stages]
        sections = {name: asdict(getattr(self, name)) for name in (*self.stages, *passes)}
        plain = {name: {key: _plain(value) for key, value in section.items()} for name, section in sections.items()}
        return {"stages": list(self.stages), **plain}


def _plain(value: Any) -> Any:
    """A setting as JSON has it, without the path of this machine."""
    if isinstance(value, tuple):
        return list(value)
    return value.name if isinstance(value, Path) else value


def find_config(name: str) -> Path:
    """Get the file of a config given by path or by bare name.

    Raises
    ------
    ConfigError
        If there is no such file; the installed names are listed.
    """
    path = Path(name)
    if path.suffix == ".toml" or path.parent != Path():
        if not path.is_file():
            raise ConfigError(f"config {name} is no file")
        return path
    installed = HOME / "configs" / f"{name}.toml"
    if not installed.is_file():
        known = sorted(entry.stem for entry in (HOME / "configs").glob("*.toml"))
        raise ConfigError(f"no config named {name!r}; known: {', '.join(known)}; or give a path that ends in .toml")
    return installed


def load_config(name: str = "default") -> Config:
    """Read a config by name or path.

    Raises
    ------
    ConfigError
        If a key is unknown, a value is of the wrong type, or the stages can't run in this order.
    """
    path = find_config(name)
    try:
        settings = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is no TOML: {error}") from error
    config: Config = _fill(Config(), settings, path, prefix="")
    check_order(config.stages)
    return config


def _fill(default: _Section, settings: Mapping[str, Any], path: Path, prefix: str) -> _Section:
    """Get `default` with what `settings` says, checked key by key."""
    hints = get_type_hints(type(default))
    known = [field.name for field in fields(default)]  # type: ignore[arg-type]
    values: dict[str, Any] = {}
    for key, value in settings.items():
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean {prefix}{near[0]}?" if near else f"known: {', '.join(known)}"
            raise ConfigError(f"{path}: unknown key {prefix}{key}; {hint}")
        current = getattr(default, key)
        if is_dataclass(current):
            if not isinstance(value, dict):
                raise ConfigError(f"{path}: {key} is a table of settings, not {value!r}")
            values[key] = _fill(current, value, path, f"{key}.")
        else:
            values[key] = _convert(value, hints[key], path, prefix + key)
    return replace(default, **values)  # type: ignore[type-var]


def _convert(value: Any, hint: Any, path: Path, key: str) -> Any:
    """Get a TOML value as the type that the dataclass wants."""
    if hint is Path or hint == Path | None:
        if not isinstance(value, str):
            raise ConfigError(f"{path}: {key} is a path, not {value!r}")
        return (path.parent / value).resolve()
    if hint == tuple[str, ...]:
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise ConfigError(f"{path}: {key} is a list of strings, not {value!r}")
        return tuple(value)
    if hint is float and type(value) is int:
        return float(value)
    if type(value) is not hint:
        raise ConfigError(f"{path}: {key} is of type {hint.__name__}, not {value!r}")
    return value
