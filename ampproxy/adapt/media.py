"""Pictures, sound and files, where a vendor takes them and can reach them."""

from __future__ import annotations

import base64
import binascii

import msgspec

from ampproxy.adapt.profile import DialectProfile
from ampproxy.model.loss import Losses
from ampproxy.model.parts import Audio, Document, FileId, Image, Inline, Link, Source, Text
from ampproxy.model.request import Role


class MediaFitter:
    """Fits the media of one request; ``None`` stands for what is left out.

    :param own: the client speaks the account's dialect, and knows what its vendor takes.
    """

    def __init__(self, profile: DialectProfile, losses: Losses, *, own: bool) -> None:
        self._profile = profile
        self._losses = losses
        self._own = own

    def image(self, part: Image, role: Role, at: str) -> Image | None:
        """A picture."""
        profile, source = self._profile, part.source
        if not self._has_place(role, "image", at):
            return None
        if part.detail is not None and not profile.details:
            if part.detail != "auto":
                self._losses("detail", f"{at}.detail", f"{profile.vendor} has no hint for a resolution.")
            part = msgspec.structs.replace(part, detail=None)
        if not self._is_taken(source, profile.pictures):
            self._losses("image", at, f"{profile.vendor} takes no pictures of this type.")
            return None
        reached = self._reaches(source, "image", at, files=profile.picture_files, links=profile.links)
        return part if reached else None

    def document(self, part: Document, role: Role, at: str) -> Document | Text | None:
        """A file, or its words where the vendor takes those alone."""
        profile, source = self._profile, part.source
        words = (part.text or "") if source is None else self._words(source)
        if words is not None and role not in profile.media_roles:
            return self._only_words(part, words, at)
        if words is None and not self._has_place(role, "document", at):
            return None
        if words is not None:
            return self._document_of_words(part, words, at)
        if source is None or not self._is_taken(source, profile.documents):
            self._losses("document", at, f"{profile.vendor} takes PDF and text, and no files of this type.")
            return None
        if source is not None and not self._reaches(
            source, "document", at, files=True, links=profile.file_links
        ):
            return None
        return self._named(part, at, profile.file_names and (isinstance(source, Inline) or profile.all_names))

    def _is_taken(self, source: Source, types: frozenset[str]) -> bool:
        """Whether bytes are of a type that the vendor takes; what it fetches itself is not known."""
        return self._own or not types or not isinstance(source, Inline) or source.media_type in types

    def _words(self, source: Source) -> str | None:
        """The words of a file that is sent as such."""
        own = self._own and not self._profile.own_decoded
        if own or not isinstance(source, Inline) or not source.media_type.startswith(self._profile.decoded):
            return None
        try:
            return base64.b64decode(source.data, validate=True).decode()
        except (binascii.Error, ValueError):
            return None

    def _document_of_words(self, part: Document, words: str, at: str) -> Document | Text | None:
        if self._profile.text_documents:
            part = self._named(part, at, self._profile.all_names)
            return part if part.source is None else msgspec.structs.replace(part, source=None, text=words)
        return self._only_words(part, words, at)

    def _only_words(self, part: Document, words: str, at: str) -> Text | None:
        self._named(part, at, False)
        return Text(words, cache=part.cache, extras=part.extras) if words else None

    def _named(self, part: Document, at: str, takes_name: bool) -> Document:
        """A document with its name, or without one where it has no place."""
        if part.name is None or takes_name or (self._own and part.source is not None):
            return part
        self._losses("document_name", at, f"{self._profile.vendor} has no name for such a document.")
        return msgspec.structs.replace(part, name=None)

    def audio(self, part: Audio, role: Role, at: str) -> Audio | Text | None:
        """Sound, or what was spoken."""
        if self._hears(part.source, role, at):
            return part
        if part.transcript:
            return Text(part.transcript)
        return None

    def _hears(self, source: Source, role: Role, at: str) -> bool:
        profile = self._profile
        if role == "assistant" and profile.named_speech:
            if isinstance(source, FileId) and source.vendor == profile.dialect:
                return True
            self._losses("audio", at, "An assistant's sound can only be named by its id.")
            return False
        if role not in profile.media_roles or not (profile.sounds or profile.own_sounds):
            self._losses(
                "audio", at, f"{profile.vendor} does not accept audio there; its transcript is sent."
            )
            return False
        if "*" in profile.sounds:
            return self._reaches(source, "audio", at, files=True, links=profile.links)
        types = profile.sounds | (profile.own_sounds if self._own else frozenset())
        if isinstance(source, Inline) and (source.media_type in types or (self._own and "*" in types)):
            return True
        self._losses("audio_format", at, f"{profile.vendor} takes some forms of sound, inline.")
        return False

    def _has_place(self, role: Role, kind: str, at: str) -> bool:
        if role in self._profile.media_roles:
            return True
        self._losses(kind, at, f"A turn of the {role}'s has no place for pictures, sound and files.")
        return False

    def _reaches(self, source: Source, kind: str, at: str, *, files: bool, links: tuple[str, ...]) -> bool:
        """Whether the vendor gets at the bytes."""
        if isinstance(source, Inline):
            return True
        if isinstance(source, Link):
            if source.url.startswith(links) or (self._own and links):
                return True
            lost, why = "link", f"{self._profile.vendor} does not fetch it from such an address."
        elif files and source.vendor in self._profile.kin:
            return True
        else:
            lost, why = "file", "A file that was uploaded to another vendor is out of reach."
        self._losses(f"{kind}_source" if self._profile.lost_sources else lost, at, why)
        return False
