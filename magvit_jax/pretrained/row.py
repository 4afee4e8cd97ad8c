"""What is said of a frozen network."""

import dataclasses

SUFFIX = ".safetensors"
#: Stands for the folder of weights in a command that makes a bundle.
FOLDER = "WEIGHTS"


@dataclasses.dataclass(frozen=True)
class SourceFile:
    """A published file that a bundle is made from.

    Attributes:
      name: its file name.
      where: address or place it is had from.
      sha256: of its content, the whole or its first digits (PyTorch publishes eight in the file's name);
        empty where nobody publishes one.
    """

    name: str
    where: str
    sha256: str = ""


@dataclasses.dataclass(frozen=True)
class Network:
    """A frozen network of others.

    Attributes:
      name: what `load` and `magvit convert --source` call it.
      title: architecture and what it was trained on.
      used_for: the metrics or conditions that need it.
      sources: the published files, in the order in which its converter takes them.
      licence: of the weights, as their publishers state it.
      parameters: trained numbers in the bundle; statistics of normalisations are not counted.
    """

    name: str
    title: str
    used_for: str
    sources: tuple[SourceFile, ...]
    licence: str
    parameters: int

    @property
    def file(self) -> str:
        """The bundle's file name in the folder of weights."""
        return self.name + SUFFIX

    def command(self, folder: str = FOLDER) -> str:
        """The command that makes the bundle, in the folder of weights `folder`."""
        checkpoint = self.sources[0].name if len(self.sources) == 1 else "FOLDER"
        return f"magvit convert --source={self.name} --checkpoint={checkpoint} --output={folder}"
