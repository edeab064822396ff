import json

import pytest

from speechlm.core.errors import UserError
from speechlm.text.prompt import DEFAULT_TEMPLATE, Prompt, PromptTemplate

SPECIAL = {"<s>": 1, "</s>": 2, "[SEP]": 3, "<|im_start|>": 4}


def encode(text):
    return [100 + ord(character) for character in text]


def test_pieces_of_the_released_template():
    prompt = PromptTemplate("<s>{speech}[SEP]{text}</s>").pieces(encode, SPECIAL)
    assert (prompt.before, prompt.between, prompt.end) == ([1], [3], [2])


def test_literal_text_is_encoded_between_special_tokens():
    prompt = PromptTemplate("<s>ab{speech}c<|im_start|>d{text}</s>").pieces(encode, SPECIAL)
    assert prompt.before == [1, *encode("ab")]
    assert prompt.between == [*encode("c"), 4, *encode("d")]
    assert prompt.end == [2]


def test_default_needs_no_bos():
    template = PromptTemplate()
    assert template.template == DEFAULT_TEMPLATE
    assert template.pieces(encode, {}, eos=9) == Prompt([], [], [9], DEFAULT_TEMPLATE)
    assert template.pieces(encode, {}, bos=8, eos=9) == Prompt([8], [], [9], DEFAULT_TEMPLATE)
    with pytest.raises(UserError, match="no end token for {eos}"):
        template.pieces(encode, {})


def test_missing_special_token_is_named():
    with pytest.raises(UserError, match=r"\[SEP\] is no token of the tokenizer; it has </s>, <s>"):
        PromptTemplate("<s>{speech}[SEP]{text}</s>").pieces(encode, {"<s>": 1, "</s>": 2})
    with pytest.raises(UserError, match="<s> is no token of the tokenizer; it has none"):
        PromptTemplate("<s>{speech}{text}{eos}").pieces(encode, {}, eos=1)


def test_special_tokens_of_any_look():
    special = {"<｜User｜>": 5, "<｜User": 6, "▁<EOT>": 7}
    prompt = PromptTemplate("a<｜User｜>b{speech}<｜User{text}▁<EOT>").pieces(encode, special)
    assert prompt == Prompt([*encode("a"), 5, *encode("b")], [6], [7], prompt.template)


@pytest.mark.parametrize("literal", ["USER: [a] x < y\n", "2>1", "[sic]", "< s >"])
def test_what_is_no_token_is_text(literal):
    prompt = PromptTemplate(literal + "{speech}{text}{eos}").pieces(encode, SPECIAL, eos=2)
    assert prompt.before == encode(literal)


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{text}</s>", "needs {speech} once"),
        ("{speech}</s>", "needs {speech} once and after it {text} once"),
        ("{text}{speech}</s>", "needs {speech} once"),
        ("{speech}{speech}{text}</s>", "needs {speech} once"),
        ("{speech}{text}", "nothing ends the answer"),
        ("{speech}{context}{text}</s>", "unknown slot {context}"),
        ("{hot}{speech}{hot}{text}</s>", "{hot} may stand once, before {text}"),
        ("{speech}{text}</s>{hot}", "{hot} may stand once, before {text}"),
    ],
)
def test_broken_templates(template, message):
    with pytest.raises(UserError) as caught:
        PromptTemplate(template)
    assert message in str(caught.value)


def test_stored_and_compared():
    template = PromptTemplate("<s>ab{speech}[SEP]{text}</s>")
    prompt = template.pieces(encode, SPECIAL)
    stored = json.loads(json.dumps({"template": template.to_dict(), "prompt": prompt.to_dict()}))
    assert PromptTemplate.from_dict(stored["template"]) == template
    assert Prompt.from_dict(stored["prompt"]) == prompt
    Prompt.from_dict(stored["prompt"]).check_same(prompt)
    other = PromptTemplate("<s>{speech}[SEP]{text}</s>").pieces(encode, SPECIAL)
    with pytest.raises(UserError, match="was trained with '<s>ab{speech}"):
        other.check_same(prompt)


def test_a_list_of_phrases_has_its_place():
    before = PromptTemplate("<s>ab{hot}c{speech}{text}</s>", list_template="<|im_start|>x {words}[SEP]", list_join="; ")
    prompt = before.pieces(encode, SPECIAL)
    assert prompt.before == [1, *encode("abc")] and prompt.between == []
    assert (prompt.hot.part, prompt.hot.at) == ("before", 3)
    assert prompt.hot.write(["p", "q r"], encode) == [4, *encode("x p; q r"), 3]
    assert prompt.hot.write([], encode) == []
    between = PromptTemplate("{speech}[SEP]{hot}{text}</s>").pieces(encode, SPECIAL)
    assert (between.hot.part, between.hot.at, between.between) == ("between", 1, [3])
    stored = json.loads(json.dumps(prompt.to_dict()))
    assert Prompt.from_dict(stored) == prompt
    without = PromptTemplate("<s>abc{speech}{text}</s>").pieces(encode, SPECIAL)
    assert without.hot is None and set(without.to_dict()) == {"before", "between", "end", "template"}
    other = PromptTemplate(before.template, list_template="<|im_start|>x {words}[SEP]").pieces(encode, SPECIAL)
    with pytest.raises(UserError, match="join='; '"):
        other.check_same(prompt)
    for wrong in ("words", "{words}{words}", "{bos}{words}"):
        with pytest.raises(UserError, match="text.hot_template"):
            PromptTemplate(before.template, list_template=wrong)
