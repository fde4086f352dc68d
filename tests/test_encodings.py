from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.doc import Doc
from pipeline.errors import InputRejectedError
from pipeline.readers import READERS, Read, Rejection, read_piece
from pipeline.readers.encoding import codec_name, decode, decode_like, page_label, sniff
from pipeline.readers.mojibake import undo_mojibake
from pipeline.readers.sources import list_input

HANS = [
    "今天的新闻说，城里开了一家新的图书馆，市民可以借阅图书，也可以自习。",
    "我觉得这个价格还是太高了，同样的钱可以在别处买到更好的。",
    "记者从市教育局获悉，今年秋季学期起，全市小学将统一提供午餐。",
    "把锅烧热后放油，下葱姜炒香，再倒入切好的鸭腿，中火煎到两面金黄。",
]
HANT = [
    "今天的新聞說，城裡開了一家新的圖書館，市民可以借閱圖書，也可以自習。",
    "我覺得這個價格還是太高了，同樣的錢可以在別處買到更好的。",
    "記者從教育局得知，今年秋季學期起，全市小學將統一提供午餐。",
    "香港嘅天氣真係好熱，我哋去茶餐廳飲杯凍奶茶先啦。",
]
FOREIGN = [
    "今朝、市内に新しい図書館が開館した。市民は本を借りることができ、自習もできる。",
    "오늘 아침 시내에 새로운 도서관이 문을 열었다. 시민들은 책을 빌릴 수 있다.",
    "Sáng nay thư viện mới của thành phố đã mở cửa, người dân có thể mượn sách.",
    "À l’été, les élèves préfèrent la forêt ; où êtes-vous ? « Ça alors » – très bien…",
    "Über die Straße gehen Mädchen; größer, schöner, «Äpfel».",
    "Сегодня утром в городе открылась новая библиотека.",
    "วันนี้ห้องสมุดใหม่เปิดแล้ว ประชาชนสามารถยืมหนังสือได้",
    "🎉🎉👍🏻👨‍👩‍👧 ❤️❤️❤️ ✨✨✨",
    "ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÐÑÒÓÔÕÖ×ØÙÚÛÜÝÞß",
    "龘靐齉爩麤灪龖厵滟爨癵籱饢驫鲡鹂鸾麣纞",
    "① ② ③ ㈠ ㊣ ℃ № ™ α β γ ∑ √ ≠ ≤",
    "plain ASCII only",
    "",
]

ENCODINGS = {
    "utf-8": "utf-8",
    "utf-8-sig": "utf-8",
    "utf-16": "utf-16",
    "utf-16-le": "utf-16-le",
    "utf-16-be": "utf-16-be",
    "utf-32": "utf-32",
    "gb18030": "gb18030",
    "gbk": "gb18030",
    "big5hkscs": "big5",
    "cp950": "big5",
}


@pytest.mark.parametrize("text", HANS + HANT)
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_encodings_are_told_apart_by_the_bytes(text: str, encoding: str) -> None:
    try:
        data = text.encode(encoding)
    except UnicodeEncodeError:
        pytest.skip("not in this character set")
    assert decode(data) == (text, ENCODINGS[encoding], 0)
    assert sniff(data) == ENCODINGS[encoding]
    for wrong in ("utf-8", "gb2312", "big5", "shift_jis", "no-such-thing", None):
        assert decode(data, wrong) == (text, ENCODINGS[encoding], 0)


@pytest.mark.parametrize("text", HANS)
@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "gb18030"])
@pytest.mark.parametrize("n_bytes", range(0, 8))
def test_twenty_characters_are_enough(text: str, encoding: str, n_bytes: int) -> None:
    part = text[n_bytes : n_bytes + 20]
    assert decode(part.encode(encoding)).text == part


@pytest.mark.parametrize(
    ("text", "encoding"),
    [(FOREIGN[0], "shift_jis"), (FOREIGN[0], "euc-jp"), (FOREIGN[1], "euc-kr"), (FOREIGN[5], "koi8-r")],
)
def test_other_languages_are_read_only_where_the_page_says_how(text: str, encoding: str) -> None:
    with pytest.raises(InputRejectedError) as caught:
        decode(text.encode(encoding))
    assert caught.value.code == "undecodable"
    assert decode(text.encode(encoding), encoding).text == text


@pytest.mark.parametrize("label", ["iso-8859-1", "latin1", "windows-1252", "us-ascii"])
def test_latin_labels_mean_what_browsers_take_them_for(label: str) -> None:
    text = "Où êtes-vous, élève de la forêt – très bien"
    assert decode(text.encode("cp1252"), codec_name(label) and label) == (text, "cp1252", 0)


@pytest.mark.parametrize(
    "label", ["base64", "rot13", "zlib", "idna", "punycode", "undefined", "utf-7", "unicode_escape"]
)
def test_labels_that_are_no_charset_do_no_harm(label: str) -> None:
    with contextlib.suppress(InputRejectedError):
        decode("Où êtes-vous".encode("latin-1"), label)


@pytest.mark.parametrize(
    ("head", "label"),
    [
        (b'<meta http-equiv="Content-Type" content="text/html; charset=gb2312">', "gb2312"),
        (b"<META CHARSET = 'Big5'>", "Big5"),
        (b'<?xml version="1.0" encoding="GBK"?>', "GBK"),
        (b"<p>charset</p>", None),
    ],
)
def test_what_a_page_says_of_its_encoding(head: bytes, label: str | None) -> None:
    assert page_label(head) == label


def test_a_short_cell_is_believed_to_be_in_its_tables_encoding() -> None:
    assert decode_like("联通".encode("gbk"), "gb18030").text == "联通"
    assert decode_like("今天的新闻说城里开了一家新的图书馆。".encode(), "gb18030").encoding == "utf-8"


def test_few_nuls_are_characters_many_are_binary() -> None:
    assert decode((HANS[0] * 20).encode("gb18030") + b"\x00").text.endswith("\x00")
    for data in (HANS[0].encode("gb18030") + b"\x00" * 3, b"PK\x03\x04" + bytes(99), b"plain\x00texts" * 9):
        with pytest.raises(InputRejectedError) as caught:
            decode(data)
        assert caught.value.code == "binary"


def test_nuls_in_chinese_utf8_are_characters() -> None:
    text = HANS[0].replace("，", "，\x00\x00")
    assert decode(text.encode()) == (text, "utf-8", 0)


@pytest.mark.parametrize("text", HANS + HANT)
@pytest.mark.parametrize("n_bytes", [1, 2])
def test_a_text_cut_within_a_character_is_read(text: str, n_bytes: int) -> None:
    data = text.encode()
    assert decode(data[:-n_bytes]) == (text[:-1] + "\ufffd", "utf-8", 1)
    assert decode(data[n_bytes:]) == ("\ufffd" * (3 - n_bytes) + text[1:], "utf-8", 3 - n_bytes)
    assert decode(text.encode("utf-16")[:-1]).n_undecodable == 1
    with pytest.raises(InputRejectedError):
        decode("的".encode()[1:] + "一二三".encode()[:-1])


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030", "big5hkscs", "utf-16-le"])
def test_one_undecodable_place_in_a_thousand_is_replaced(encoding: str) -> None:
    text = HANT[0] * 60
    data = text.encode(encoding)
    at = len(text[: len(text) // 2].encode(encoding))
    bad = b"\x00\xd8" if encoding == "utf-16-le" else b"\xff"
    decoded = decode(data[:at] + bad + data[at:])
    assert decoded.n_undecodable == 1
    assert decoded.text.replace("\ufffd", "") == text
    with pytest.raises(InputRejectedError):
        decode((HANT[0].encode(encoding) + bad) * 9)


def misread(right: str, wrong: str) -> Callable[[str], str]:
    """Get what becomes of a text that is decoded wrongly; Windows shows bytes it has no character for as controls."""

    def damage(text: str) -> str:
        data = text.encode(right)
        if wrong != "cp1252":
            return data.decode(wrong)
        return "".join(bytes([byte]).decode("cp1252", "ignore") or chr(byte) for byte in data)

    return damage


@pytest.mark.parametrize(
    ("right", "wrong", "times", "name"),
    [
        ("utf-8", "latin-1", 1, "utf-8 read as latin-1"),
        ("utf-8", "cp1252", 1, "utf-8 read as cp1252"),
        ("utf-8", "cp1252", 2, "utf-8 read as cp1252, then utf-8 read as cp1252"),
        ("gb18030", "latin-1", 1, "gb18030 read as latin-1"),
        ("gb18030", "cp1252", 1, None),
        ("big5hkscs", "latin-1", 1, None),
        ("big5hkscs", "gb18030", 1, "big5 read as gbk"),
        ("gbk", "big5hkscs", 1, "gbk read as big5"),
        ("utf-8", "gb18030", 1, "utf-8 read as gbk"),
    ],
)
def test_mojibake_is_undone(right: str, wrong: str, times: int, name: str | None) -> None:
    n_tried = 0
    for text in [*HANS, *HANT, *(text[at : at + 20] for text in HANS for at in range(12))]:
        damaged = text
        try:
            for _ in range(times):
                damaged = misread(right if damaged is text else "utf-8", wrong)(damaged)
        except UnicodeError:
            continue
        n_tried += 1
        repaired = undo_mojibake(damaged)
        assert repaired.text == text
        assert repaired.mojibake
        assert name in (None, repaired.mojibake)
    assert n_tried


@pytest.mark.parametrize("text", HANS + HANT + FOREIGN)
def test_right_text_is_never_touched(text: str) -> None:
    for variant in (text, text * 30, f"{text}\n{HANS[0]}", "\n".join(FOREIGN), text.replace("，", ",")):
        assert undo_mojibake(variant) == (variant, None, 0)


@given(st.text(max_size=60))
def test_any_text_is_undone_or_left(text: str) -> None:
    with contextlib.suppress(InputRejectedError):
        repaired = undo_mojibake(text)
        assert (repaired.text == text) or repaired.mojibake


def test_lines_are_judged_one_by_one() -> None:
    damage = misread("utf-8", "cp1252")
    text = "\n".join([HANS[0], damage(HANS[1]), "plain", damage(HANS[2]), damage("简讯"), FOREIGN[3], damage(HANS[3])])
    lines = [HANS[0], HANS[1], "plain", HANS[2], "简讯", FOREIGN[3], HANS[3]]
    assert undo_mojibake(text).text.split("\n") == lines


@pytest.mark.parametrize("line", ["纯棉毛巾 31.0", "订阅", "麒麟·貔貅"])
def test_lines_of_rare_characters_are_undone_with_the_others(line: str) -> None:
    text = "\n".join([*HANS, line])
    assert undo_mojibake(misread("utf-8", "cp1252")(text)).text == text


def test_a_text_that_only_quotes_mojibake_stays() -> None:
    text = f"{HANS[0]}乱码看起来像“{misread('utf-8', 'cp1252')('你好')}”这样。{HANS[2]}"
    assert undo_mojibake(text).mojibake is None


@pytest.mark.parametrize(
    "damaged",
    [
        "".join(HANS).encode().decode("gb18030", "replace"),
        "".join(HANS).encode().decode("cp1252", "replace"),
        "".join(HANS).encode("gbk").decode("utf-8", "replace"),
        "锟斤拷锟斤拷锟斤拷，锟斤拷锟斤拷锟斤拷的锟斤拷锟斤拷",
    ],
)
def test_what_cannot_be_undone_is_set_aside(damaged: str) -> None:
    with pytest.raises(InputRejectedError) as caught:
        undo_mojibake(damaged)
    assert caught.value.code == "mojibake"


def test_a_few_lost_characters_are_counted() -> None:
    damaged = misread("utf-8", "cp1252")("".join(HANS) * 60)
    at = len(damaged) // 2
    repaired = undo_mojibake(damaged[:at] + "\ufffd" + damaged[at + 1 :])
    assert repaired.mojibake == "utf-8 read as cp1252"
    assert 1 <= repaired.n_undecodable <= 3


def read(path: Path) -> list[Read]:
    return [item for piece in list_input([str(path)], tuple(READERS)).files for item in read_piece(piece)]


def test_rows_are_repaired_with_their_titles(tmp_path: Path) -> None:
    damage = misread("utf-8", "cp1252")
    rows = [
        {"text": damage(HANS[0]), "title": damage(HANS[1]), "url": "https://example.com/a"},
        {"text": HANS[0], "title": "对的"},
        {"text": "".join(HANS).encode().decode("cp1252", "replace")},
        {"html": f"<title>{damage(HANS[2])}</title><p>{damage(HANS[3])}</p>"},
    ]
    (tmp_path / "a.jsonl").write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    first, second, lost, page = read(tmp_path / "a.jsonl")
    assert isinstance(first, Doc)
    assert isinstance(second, Doc)
    assert isinstance(lost, Rejection)
    assert isinstance(page, Doc)
    assert (first.source, first.meta["title"], first.meta["mojibake"]) == (HANS[0], HANS[1], "utf-8 read as cp1252")
    assert first.meta["url"] == "https://example.com/a"
    assert "mojibake" not in second.meta
    assert (lost.code, lost.line) == ("mojibake", 3)
    assert (page.source, page.meta["title"]) == (HANS[3], HANS[2])


@pytest.mark.parametrize("label", ["utf-8", "gbk", "big5", "iso-8859-1", "none-such"])
@pytest.mark.parametrize("encoding", ["utf-8", "gbk", "utf-16"])
def test_a_wrong_label_is_not_believed(tmp_path: Path, label: str, encoding: str) -> None:
    page = f'<html><head><meta charset="{label}"><title>{HANS[1]}</title></head><body><p>{HANS[0]}</p></body></html>'
    (tmp_path / "a.html").write_bytes(page.encode(encoding))
    (doc,) = read(tmp_path)
    assert isinstance(doc, Doc)
    assert (doc.source, doc.meta["title"]) == (HANS[0], HANS[1])
