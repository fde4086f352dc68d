"""The errors that zhcorpus raises; everything else is a bug."""

from __future__ import annotations


class PipelineError(Exception):
    """Something foreseeable went wrong; the message says what, where and what to do."""


class ConfigError(PipelineError):
    """The call or the configuration is wrong; nothing has been read yet."""


class ModelError(PipelineError):
    """A model folder is missing, damaged or of another version."""


class AlignmentError(PipelineError):
    """Offsets that have to agree do not."""


class InputRejectedError(PipelineError):
    """One piece of input can't become a document; it is set aside and the run goes on.

    Parameters
    ----------
    code : str
        Machine-readable reason, such as ``empty`` or ``bad_json``.
    reason : str
        One sentence for a person.
    line : int or None
        Line or row in the file, from 1.
    offset : int or None
        Byte offset in the (decompressed) file, from 0.
    doc_id : str or None
        The document's id where it is known.
    """

    def __init__(
        self,
        code: str,
        reason: str,
        *,
        line: int | None = None,
        offset: int | None = None,
        doc_id: str | None = None,
    ) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
        self.line = line
        self.offset = offset
        self.doc_id = doc_id
