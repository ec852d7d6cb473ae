"""Bytes of names, lyrics and markers → text; a MIDI file does not say in which encoding they are.

Valid UTF-8 is UTF-8. Anything else was written in the code page of somebody's system, which has to
be guessed: each reading of the bytes is scored by about how many bits it would take in a code made
for a language, in which common letters are cheap, and rare letters and unlikely neighbours are
expensive. The cheapest reading of all texts of a file counts, as names are short.

charset-normalizer, which is made for paragraphs, reads 131 of the 613 names in
``tests/helpers/part_names.py`` right, each by itself; this module reads 599.
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from math import log2

_MOST_BYTES = 800  # that a guess looks at

# Bits of one character, about as many as it has in text of its kind.
_ASCII = 5.0
_ACCENTED = 5.5  # the commonest letter of a language beyond a to z
_FOREIGN = 14.0  # a letter that the language does not have
_KANA = 6.0
_NARROW_KANA = 7.0
_WIDE_SIGN = 10.0
_COMMON_WIDE = 8.0  # a Chinese character or Hangul syllable of the lists below
_WIDE = 12.5  # one of a standard's first level, 2000 to 4000 characters
_RARE_WIDE = 19.0
_SIGN = 13.0
_BROKEN = 25.0  # what the encoding does not have; control codes

# Bits of neighbours.
_OTHER_SCRIPT = 8.0  # within a word
_MIXED_JAPANESE = 4.0  # Latin letters, narrow kana, and the rest side by side
_NEXT_WORD_OTHER_SCRIPT = 3.0
_NARROW_RUN = 2.0
_ALONE = 8.0  # one narrow kana
_SIGN_IN_WORD = 6.0
_RISING_CASE = 6.0  # "aB"
_FALLING_CASE = 4.0  # "ABc"
_ACCENTS_IN_A_ROW = 2.5
_OUT_OF_PLACE = 5.0  # a letter at the end of a word, within it, or alone
_AGAIN = 3.0  # the same sign once more, as in a line that somebody drew
_UNUSUAL = 3.0  # a letter from a to z, in a word of the language
_TWO_VOWELS, _TWO_CONSONANTS, _THREE_CONSONANTS = 1.5, 0.7, 2.5

# Bits of common signs.
_COMMON_SIGNS = dict.fromkeys("‘’“”„–—…«»´•©\xa0", 8.0)
_COMMON_SIGNS |= dict.fromkeys("°¿¡", 9.0) | dict.fromkeys("®™№", 10.0) | {"½": 11.0}
_APOSTROPHES = "’´–—"  # and dashes: they stand within words

_KANJI = frozenset(
    "一二三四五六七八九十百千万年月日時分人子女男母父大小中上下左右前後内外東西南北山川田村町国"
    "本語文字学校先生名私君心愛恋夢春夏秋冬花桜風雨雪空星海森木水火金土石光影色青赤白黒音楽曲歌"
    "声唱奏弾打鳴響主副旋律和伴独合重低高中弦絃管器鼓太琴笛尺八三味線津軽民謡童詩詞作編者手指調"
    "長短半全拍子節奏演出入行来見聞言思知立走飛会話今昔古新旧朝昼夜夕明暗天地神仏世界平和自由少"
    "多早遅強弱同第番目回終始無有不正道車電話線部屋家族友達猫犬鳥魚馬虫生死命体頭目耳口足力気持"
    "好笑泣涙別涼暖寒暑美麗優故郷君代旅港駅船戦争勝負英雄勇者竜王城剣魔法伝説物語最初次元用意使"
    "原案制著権録録画面藤佐鈴木高橋伊渡辺山本村加吉松井清浜崎郎太介美香恵由紀"
)
_HANZI = frozenset(
    "的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子那得于着下自之"
    "年过发后作里用道行所然家种事成方多经么去法学如都同现当没动面起看定天分还进好小部其些主样"
    "理心她本前开但因只从想实日军者意无力它与长把机十民第公此已工使情明性知全三又关点正业外将"
    "两高间由问很最重并物手应战向头文体政美相见被利什二等产或新己制身果加西斯月话合回特代内信"
    "表化老给世位次度门任常先海通教儿原东声提立及比员解水名真论处走义各入几口认条平系气题活尔"
    "更别打女变四神总何电数安少报才结反受目太量再感建务做接必场件计管期市直德资命山金指克许统"
    "区保至队形社便空决治展马科司五基眼书非则听白却界达光放强即像难且权思王象完设式色路记南品"
    "住告类求据程北边死张该交规万取拉格望觉术领共确传师观清今切院让识候带导争运"
    "钢琴吉他贝斯鼓提二胡古筝笛琵琶人声弦乐左右打击萨克铜管旋律伴奏独唱歌曲竹架副和低音符节拍"
    "月亮爱恋花风雨雪夜梦星春夏秋冬红黑绿蓝词编谱演唢呐箫埙扬柳"
)
_HANGUL = frozenset(
    "가각간갈감갑강개거건검게겨결경계고곡공과관광교구국군권그극근금급기긴길김까끼나난날남내너네"
    "노녹논놀누눈뉴는늘니다단달당대더데도독돈동되된두드든들등디따때떠또라락란랄람랑래러런럼레려"
    "력련렉렐렛로록론료루류르른를름리린림링마막만말맘매머먼멀메멜면명모목못무문물미민믹바반발방"
    "배버번범법베벨변별보본볼봄봉부북분불브블비빛사산살삼상새색생서석선설성세셋소속손솔송수순술"
    "숨스슬슴시식신실심싱쌍아악안알암앙애야약양어언얼엄업에엘여역연열영예오온올와완왈왼외요용우"
    "운울움원월위유율으은을음응의이인일임입있자작장재저적전절정제조족존종주죽준중즈증지직진질집"
    "차참창채처천철첫청체초최추축춘출치친칠카칼캐커컨코콘쿠크큰클키타탄태터테템텐토톤통투트티파"
    "판팝패퍼페편평포폰표푸풍프플피필하학한할함합항해핸햇향허현협형호혼홀화활회효후흥희히힘"
)

# Narrow kana that a voicing mark may follow: ka to to, ha to ho, and u.
_VOICEABLE = frozenset("ｳｶｷｸｹｺｻｼｽｾｿﾀﾁﾂﾃﾄﾊﾋﾌﾍﾎ")


@dataclass(frozen=True, eq=False)
class _Language:
    """What text in an encoding may be.

    Attributes:
        encoding: Python's name of it.
        letters: lower-case letters besides a to z, commonest first.
        first: bits of the first of them.
        vowels: those of `letters`, if these are a whole alphabet.
        final, inner: letters that stand nowhere but at the end of a word, and never there.
        alone: letters that are words.
        unusual: letters from a to z that are rare.
        common: characters of East Asian scripts that are frequent.
        rare: additional bits for a language of fewer files.
    """

    encoding: str
    letters: str = ""
    first: float = _ACCENTED
    vowels: str = ""
    final: str = ""
    inner: str = ""
    alone: str = ""
    unusual: str = ""
    common: frozenset[str] = frozenset()
    rare: float = 0.0


_RUSSIAN = "оаеинтсрвлкмдпубяьыгзчйхжшюцщэфёъ"
_UKRAINIAN = "оаниівртескмудлпзгбхяьцйчжїюєшщфґ"
_SERBIAN = "аоиенрстујкдвлмпзгбчцшхжћњђљџф"
_GREEK = "αοιετσνηυρπκμλςωόίάέδήγχθύφβώξζψϊϋΐΰ"

_LANGUAGES = (
    _Language("cp1252", "éèàêçôîùâûïëœæÿ", inner="çôîêâûœæ", alone="àô", unusual="kw"),  # French
    _Language("cp1252", "üäößé"),  # German
    _Language("cp1252", "óíáéñúü", inner="ñü", alone="óéá", unusual="kw"),  # Spanish
    _Language("cp1252", "ãçáéíóõêâôúàü", inner="çõâ", alone="àéó", unusual="kwy"),  # Portuguese
    _Language("cp1252", "àèòùìé", final="àèòùìé", alone="èé", unusual="jkwxy"),  # Italian
    _Language("cp1252", "äöåé", alone="öå"),  # Swedish, Finnish
    _Language("cp1252", "øåæéöäôòü", alone="øåæ"),  # Danish, Norwegian
    _Language("cp1252", "éëïèóöüá", rare=2),  # Dutch
    _Language("cp1252", "íáðéóúöþýæ", alone="íáé", rare=3),  # Icelandic
    _Language("cp1250", "łóąężśćńź", rare=2),  # Polish
    _Language("cp1250", "áíěéřýčžšůúťďňó", rare=2),  # Czech
    _Language("cp1250", "áíčéýžšúľťôňďĺŕäó", rare=4),  # Slovak
    _Language("cp1250", "éáöóőüíúű", alone="őé", rare=3),  # Hungarian
    _Language("cp1250", "čšžćđ", rare=3),  # Croatian, Slovene
    _Language("cp1250", "ăîâţş", rare=4),  # Romanian
    _Language("cp1251", _RUSSIAN, 3.3, "аеёиоуыэюя"),
    _Language("cp1251", _UKRAINIAN, 3.3, "аеєиіїоуюя", rare=2),
    _Language("cp1251", _SERBIAN, 3.3, "аеиоу", rare=5),
    _Language("cp1253", _GREEK, 3.3, "αεηιουωάέήίόύώϊϋΐΰ", rare=4),
    _Language("cp932", common=_KANJI),
    _Language("euc_jp", common=_KANJI, rare=5),
    _Language("gb18030", common=_HANZI, rare=2),
    _Language("cp949", common=_HANGUL, rare=2),
)

# Kinds of characters, on which it depends what may stand beside them.
_BLANK, _LATIN, _ACCENT, _ALPHABET, _NARROW, _WIDE_KIND, _ODD = range(7)


def decode_texts(texts: Sequence[bytes]) -> list[str]:
    """Names, lyrics and markers of one file, decoded.

    Valid UTF-8 is UTF-8, without its byte order mark, and even if a name was cut to a length in the
    middle of its last character. All others are of one code page, which is guessed: Western,
    Central European, Cyrillic or Greek Windows, Shift-JIS, EUC-JP, GB18030 or Windows' Korean.

    Args:
        texts: of a file, in any order; NULs and blanks at their ends are kept.

    Returns:
        The same texts, in which U+FFFD stands for whatever an encoding does not have.
    """
    decoded = [_as_utf8(text) for text in texts]
    others = [text for text, known in zip(texts, decoded, strict=True) if known is None]
    encoding = _likeliest(others) if others else "utf-8"
    return [
        text.decode(encoding, "replace") if known is None else known
        for text, known in zip(texts, decoded, strict=True)
    ]


def _as_utf8(text: bytes) -> str | None:
    text = text.removeprefix(codecs.BOM_UTF8)
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        whole = text[: error.start]
        if error.reason != "unexpected end of data" or whole.isascii():
            return None
        return whole.decode()


def _likeliest(texts: Sequence[bytes]) -> str:
    """The encoding in which texts take the fewest bits."""
    sample: list[bytes] = []
    left = _MOST_BYTES
    for text in dict.fromkeys(text.strip(b"\0 \r\n\t") for text in texts):
        sample.append(text[:left])
        left -= len(text)
        if left <= 0:
            break
    readings = {
        encoding: [text.decode(encoding, "replace") for text in sample]
        for encoding in dict.fromkeys(language.encoding for language in _LANGUAGES)
    }
    return min(
        _LANGUAGES,
        key=lambda one: one.rare + sum(_bits(text, one) for text in readings[one.encoding]),
    ).encoding


def _bits(text: str, language: _Language) -> float:
    """Minus log2 of about how likely a text is in a language."""
    kinds, costs = zip(*(_judge(char, language) for char in text), strict=True)
    bits: float = sum(costs)
    for index in range(1, len(text)):
        if kinds[index] == _ODD and text[index] == text[index - 1] and text[index] != "\ufffd":
            bits += _AGAIN - costs[index]
    padded = (_BLANK, *kinds, _BLANK)
    for index, (before, kind) in enumerate(pairwise(padded[:-1])):
        bits += _neighbours(before, kind)
        if kind == _NARROW:
            bits += _narrow(text, index, before, padded[index + 2])
        elif kind in (_ODD, _WIDE_KIND) and before in _WORDS and padded[index + 2] in _WORDS:
            bits += _SIGN_IN_WORD
    bits += _case(text) + _scripts(kinds)
    if language.vowels:
        return bits + _syllables(text, language)
    return bits + (_places(text, language) if language.letters else 0.0)


_WORD = re.compile(r"[^\W\d_]+")
_WORDS = frozenset([_LATIN, _ACCENT, _ALPHABET])
_SCRIPTS = _WORDS | {_NARROW, _WIDE_KIND}


def _neighbours(before: int, kind: int) -> float:
    if before == kind:
        return _ACCENTS_IN_A_ROW if kind == _ACCENT else 0.0
    pair = {before, kind}
    if pair == {_LATIN, _ACCENT} or not pair <= _SCRIPTS:
        return 0.0
    return _MIXED_JAPANESE if pair <= {_LATIN, _NARROW, _WIDE_KIND} else _OTHER_SCRIPT


def _narrow(text: str, index: int, before: int, after: int) -> float:
    """Bits of a narrow kana's place: alone it is unlikely, and voicing marks follow voiceable
    ones."""
    if text[index] in "ﾞﾟ":
        return -4.0 if index and text[index - 1] in _VOICEABLE else 7.0
    if before == _NARROW:
        return 0.0
    return _NARROW_RUN if after == _NARROW else _ALONE


def _case(text: str) -> float:
    bits = 0.0
    for index, (first, second) in enumerate(pairwise(text)):
        if first.islower() and second.isupper():
            bits += _RISING_CASE
        elif second.islower() and index and first.isupper() and text[index - 1].isupper():
            bits += _FALLING_CASE
    return bits


def _scripts(kinds: Sequence[int]) -> float:
    """Bits of words of two alphabets one after the other."""
    alphabets = [kind == _ALPHABET for kind in kinds if kind in _WORDS]
    return _NEXT_WORD_OTHER_SCRIPT * sum(a != b for a, b in pairwise(alphabets))


def _places(text: str, language: _Language) -> float:
    """Bits of the letters' places in a language's own words in Latin letters."""
    bits = 0.0
    for word in _WORD.findall(text.lower()):
        if word.isascii() or not word.isalpha():
            continue  # English names are everywhere
        misplaced = word not in language.alone if len(word) == 1 else word[-1] in language.inner
        bits += _OUT_OF_PLACE * misplaced
        bits += _OUT_OF_PLACE * sum(char in language.final for char in word[:-1])
        bits += _UNUSUAL * sum(char in language.unusual for char in word)
    return bits


def _syllables(text: str, language: _Language) -> float:
    """Bits of vowels and consonants of an alphabet that do not take turns."""
    bits, run, last = 0.0, 0, ""
    for char in text.lower():
        kind = ""
        if char in language.letters and char not in "ьъ":
            kind = "vowel" if char in language.vowels else "consonant"
        run = run + 1 if kind == last else 1
        last = kind
        if kind and run > 1:
            consonants = _TWO_CONSONANTS if run == 2 else _THREE_CONSONANTS
            bits += _TWO_VOWELS if kind == "vowel" else consonants
    return bits


@lru_cache(4096)
def _judge(char: str, language: _Language) -> tuple[int, float]:
    """The kind of a character, and its bits."""
    if char < "\x80":
        return (_LATIN if char.isalpha() else _BLANK), _ASCII
    lower = char.lower()
    if lower in language.letters:
        kind, slope = (_ALPHABET, 1.0) if language.vowels else (_ACCENT, 0.8)
        return kind, language.first + log2(1 + language.letters.index(lower)) * slope
    if char in _COMMON_SIGNS:
        return (_BLANK if char in _APOSTROPHES else _ODD), _COMMON_SIGNS[char]
    if language.common:
        return _judge_wide(char, language)
    if _is_broken(char) or not char.isalpha():
        return _ODD, _BROKEN if _is_broken(char) else _SIGN
    return (_ALPHABET if language.vowels else _ACCENT), _FOREIGN


def _is_broken(char: str) -> bool:
    """Whether it is in no text: a control code, or a private or missing character."""
    return char == "\ufffd" or unicodedata.category(char) in ("Cc", "Co", "Cn")


def _judge_wide(char: str, language: _Language) -> tuple[int, float]:
    """:func:`_judge` of East Asian characters."""
    japanese = language.common is _KANJI
    if japanese and "\uff61" <= char <= "\uff9f":
        return _NARROW, _NARROW_KANA
    if "\u3041" <= char <= "\u30ff":
        return _WIDE_KIND, _KANA if japanese else _RARE_WIDE
    if "\u3000" <= char <= "\u303f" or "\uff01" <= char <= "\uff5e":
        return _WIDE_KIND, _WIDE_SIGN
    if "\u4e00" <= char <= "\u9fff" or "\uac00" <= char <= "\ud7a3":
        if char in language.common:
            return _WIDE_KIND, _COMMON_WIDE
        return _WIDE_KIND, _WIDE if _is_first_level(char, language) else _RARE_WIDE
    return _ODD, _BROKEN if _is_broken(char) else _RARE_WIDE


# The rows of each national standard that hold its frequent characters, as first bytes of two.
_FIRST_LEVELS = {
    "euc_jp": ("euc_jp", 0xB0, 0xCF),
    "cp932": ("euc_jp", 0xB0, 0xCF),
    "gb18030": ("gb2312", 0xB0, 0xD7),
    "cp949": ("euc_kr", 0xB0, 0xC8),
}


def _is_first_level(char: str, language: _Language) -> bool:
    standard, first, last = _FIRST_LEVELS[language.encoding]
    try:
        coded = char.encode(standard)
    except UnicodeEncodeError:
        return False
    return len(coded) == 2 and first <= coded[0] <= last
