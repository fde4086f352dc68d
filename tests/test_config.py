from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.config import HOME, Config, find_config, load_config
from pipeline.errors import ConfigError


def write(folder: Path, text: str) -> str:
    path = folder / "own.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_the_installed_default_says_what_the_code_says() -> None:
    assert load_config("default") == Config()


def test_model_paths_are_relative_to_the_config(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, 'stages = ["clean", "classify"]\n[classify]\nmodel = "mine"\n'))
    assert config.classify.model == tmp_path / "mine"
    assert config.model_folders() == {"classify": tmp_path / "mine"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[clean]\nconvrt = 't2s'", "unknown key clean.convrt; did you mean clean.convert"),
        ("[cleen]\n", "unknown key cleen; did you mean clean"),
        ("zzz = 1", "known: stages, clean"),
        ("[clean]\nconvert = 's2t'", "known: none, t2s, tw2s"),
        ("[clean]\nconvert = 1", "clean.convert is of type str"),
        ("clean = 1", "clean is a table"),
        ("stages = 'clean'", "stages is a list"),
        ("stages = ['clean', 'parse']", "unknown stage 'parse'"),
        ("stages = ['segment']", "requires 'sents'"),
        ("stages = ['clean', 'clean']", "twice"),
        ("[classify]\nmodel = 3", "classify.model is a path"),
        ("stages = [", "is no TOML"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message.replace("(", "\\(")):
        load_config(write(tmp_path, text))


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="default, fast"):
        find_config("fastt")
    with pytest.raises(ConfigError, match="no file"):
        find_config("nowhere/own.toml")


def test_the_manifest_names_no_path() -> None:
    assert str(HOME) not in str(Config().to_dict())
