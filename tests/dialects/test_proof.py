"""Proofs of reasoning on their way through another dialect."""

from __future__ import annotations

import base64
import unittest

from hypothesis import given
from hypothesis import strategies as st

from ampproxy.dialects.proof import (
    MARK,
    PLACES,
    UNKNOWN,
    VENDORS,
    Place,
    place_of,
    unwrap_signature,
    wrap_signature,
)
from ampproxy.model.base import ANTHROPIC, GEMINI
from ampproxy.model.parts import Signature

values = st.one_of(
    st.binary(max_size=60).map(lambda data: base64.b64encode(data).decode()),
    st.binary(max_size=60).map(lambda data: base64.urlsafe_b64encode(data).decode().rstrip("=")),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=30),
)


class ProofTests(unittest.TestCase):
    def test_own_proof_is_bare(self) -> None:
        """A vendor's own proof reaches it byte for byte, as nothing of ours."""
        self.assertEqual(wrap_signature(ANTHROPIC, Signature(ANTHROPIC, "EqoBCkgI+/==")), "EqoBCkgI+/==")
        self.assertEqual(unwrap_signature("EqoBCkgI+/==", ANTHROPIC), Signature(ANTHROPIC, "EqoBCkgI+/=="))
        self.assertEqual(place_of("EqoBCkgI+/=="), "reasoning")

    @given(
        st.sampled_from([vendor for vendor in VENDORS.values() if vendor != ANTHROPIC]),
        values,
        st.sampled_from([None, "rs_0123", "ä"]),
        st.sampled_from(PLACES),
    )
    def test_foreign_proof_comes_back_equal(
        self, vendor: str, value: str, item: str | None, place: Place
    ) -> None:
        """Vendor, value, item and place survive the journey, a URL-safe recoding by an SDK included."""
        proof = Signature(vendor, value, item)
        carried = wrap_signature(ANTHROPIC, proof, place)
        self.assertTrue(carried.isascii())
        recoded = base64.urlsafe_b64encode(base64.b64decode(carried, validate=True)).decode()
        for text in (carried, recoded):
            self.assertEqual(unwrap_signature(text, ANTHROPIC), proof)
            self.assertEqual(place_of(text), place)

    def test_marked_value_is_hardly_longer(self) -> None:
        """Proofs of many kilobytes are not blown up on every turn."""
        value = base64.b64encode(bytes(range(256)) * 20).decode()
        self.assertLess(len(wrap_signature(ANTHROPIC, Signature(GEMINI, value))), len(value) + 32)

    def test_damaged_value_belongs_to_nobody(self) -> None:
        """A marked value that a client cut short is given to no vendor, and breaks nothing."""
        whole = wrap_signature(ANTHROPIC, Signature(GEMINI, "c2VhbA==", "item"))
        cut = len(MARK) + 4
        for damaged in (MARK, MARK + "!!", whole[:cut], MARK + "AgAA" + whole[cut:], whole + "é"):
            with self.subTest(damaged):
                self.assertEqual(unwrap_signature(damaged, ANTHROPIC).vendor, UNKNOWN)

    def test_vendor_that_nobody_knows(self) -> None:
        """A proof of a vendor without a number is carried as nobody's."""
        self.assertEqual(
            unwrap_signature(wrap_signature(ANTHROPIC, Signature("new", "x")), ANTHROPIC).vendor, UNKNOWN
        )


def test_numbers_stay() -> None:
    """Marks that clients have kept in their threads still tell whose proof it is, in whatever order the
    dialects are listed.
    """
    assert VENDORS == {
        0: "anthropic",
        1: "openai-responses",
        2: "gemini",
        3: "openai-chat",
        4: "openai-completions",
    }
    kept = MARK + base64.b64encode(bytes([1, 2, 1, 0, 0, 0]) + b"proof").decode()
    assert unwrap_signature(kept, ANTHROPIC) == Signature("gemini", "proof")
    assert place_of(kept) == "call"
    unknown = MARK + base64.b64encode(bytes([1, 9, 1, 0, 0, 0]) + b"proof").decode()
    assert unwrap_signature(unknown, ANTHROPIC).vendor == UNKNOWN
