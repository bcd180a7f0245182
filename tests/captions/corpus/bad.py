"""Captions that one rule should warn about, by rule: (language, caption)."""

from __future__ import annotations

from itertools import cycle

__all__ = ["ALSO", "BAD"]

SCENES = [
    ("en", "a woman in a yellow raincoat waits for the tram"),
    ("en", "two boys race their bicycles down a gravel path"),
    ("de", "ein müder Dackel schläft neben dem Kachelofen"),
    ("fr", "un chat noir traverse une ruelle pavée"),
    ("es", "dos hermanos pescan desde un muelle de madera"),
    ("ru", "рыжий кот спит на подоконнике рядом с геранью"),
    ("zh", "穿红色毛衣的女孩坐在窗边看书"),
    ("ja", "桜並木の下を自転車で走る高校生"),
    ("ko", "비 오는 골목에서 노란 우산을 쓴 아이가 웃고 있다"),
    ("ar", "طفلان يلعبان كرة القدم في شارع ضيق"),
    ("hi", "नीले सोफ़े पर काली बिल्ली सो रही है"),
    ("pt", "dois pescadores puxam a rede ao amanhecer"),
]


def _with(faults: list[str]) -> list[tuple[str, str]]:
    """Each fault in a scene of another language; ``{}`` in a fault stands for the scene."""
    scenes = cycle(SCENES)
    return [(language, fault.replace("{}", scene)) for fault, (language, scene) in zip(faults, scenes, strict=False)]


def _all(languages: dict[str, list[str]]) -> list[tuple[str, str]]:
    return [(language, caption) for language, captions in languages.items() for caption in captions]


EMPTY = ["", " ", "\n\n", "\t", "\u200b", "...", "-", "?!", "—", "none", "None", "NULL", " nan ", "N/A", "n.a.", "<NA>",
         "[none]", '"null"', "todo", "TODO:", "Untitled", "No caption", "undefined", "not available", "placeholder",
         "，。", "・・・", "caption", "(null)", "lorem ipsum", "NaT", "#REF!", "b''", "[object Object]"]  # fmt: skip

SUSPICIOUS = ["{} <unk> in the rain", "{} <|endoftext|>", "### {}", "</s> {}", "<s>{}</s>", "[INST] {} [/INST]",
              "<<SYS>> {}", "<pad><pad> {}", "{} <|im_end|>", "<image>{}", "[CLS] {} [SEP]", "{} [MASK] {}", "```{}```",
              "{} <extra_id_0>", "{}<0x0A>", "<think>the user wants a caption</think> {}", "{}<loc_512><loc_33>",
              "<|vision_start|>{}", "ASSISTANT: {}", "Human: describe it\nAssistant: {}", "['{}']", '["{}"]',
              "<｜end▁of▁sentence｜>{}", "{} <start_of_turn>", "#### {}", "<grounding>{}", "<MORE_DETAILED_CAPTION>{}", "<CAPTION> {}", "User: {}?", "<OD>{}", "<box>{}</box>",
              "b'{}'", "('{}',)", "{'caption': '{}'}", "np.str_('{}')", "array(['{}'], dtype='<U80')", "Row(caption='{}')",
              "[object Object], {}", "0    {}\nName: caption, dtype: object"]  # fmt: skip

SUSPICIOUS_EN = ["a photo of None", "a painting by null, oil on canvas", "a portrait of NaN, in the rain",
                 "there is a arafed man with a hat", "araffe woman in a red dress standing on a balcony",
                 "1girl, nan, long hair, smile", "cat, null, dog, house", "undefined, tree, river, boat"]  # fmt: skip

REFUSALS = {
    "en": [
        "I'm sorry, but I can't assist with that request.",
        "I’m sorry, I can’t help with identifying people in images.",
        "Sorry, I cannot provide a description of this image.",
        "I apologize, but I am unable to describe this picture.",
        "I cannot fulfill this request.",
        "I can't see the image you are referring to.",
        "As an AI language model, I cannot view images.",
        "As a language model, I do not have the ability to see pictures.",
        "Unfortunately, I am not able to identify the person in the photo.",
        "I'm unable to view images directly. Please describe it to me.",
        "I don't see an image attached to your message.",
        "There is no image provided.",
        "No image was uploaded.",
        "Please provide the image you would like me to describe.",
        "It seems like you haven't uploaded an image yet.",
        "The image could not be loaded.",
        "This content may violate our usage policies.",
        "Your request was rejected by the safety system.",
        "ohwx man, I'm sorry, but I can't help with that.",
        "I won't be able to provide a caption for this picture.",
        "I do not feel comfortable describing this person.",
        'Traceback (most recent call last): File "caption.py", line 12',
        "CUDA error: out of memory. Tried to allocate 2 GiB",
        "RuntimeError: CUDA out of memory.",
        "Error 429: too many requests",
        "502 Bad Gateway",
        '{"error": {"message": "invalid image"}}',
        "Failed to load image",
        "Error: could not open image file",
        "Rate limit exceeded, try again later",
        "Internal Server Error",
        "I'm not able to help with that image, it may contain sensitive content.",
        "We're sorry, but this image cannot be processed.",
        "I’m going to have to decline. I can't describe this.",
        "I’m not comfortable describing this image.",
        "Unable to process image.",
        "Image not available",
        "[ERROR] caption failed",
        "I am just a language model and cannot see images.",
        "My apologies, but I cannot describe this content.",
        "Image unavailable.",
        "Sorry, we cannot process this image",
        "We're sorry, we are unable to open it",
        "Sorry, this image cannot be shown",
        "sorry, there is no image",
        "Sorry, it seems that nothing was attached",
    ],
    "de": [
        "Es tut mir leid, aber ich kann dieses Bild nicht beschreiben.",
        "Leider kann ich bei dieser Anfrage nicht helfen.",
        "Als KI-Modell kann ich keine Personen identifizieren.",
        "Als KI kann ich keine Bilder sehen",
        "Als KI-Assistent ist es mir nicht erlaubt, Personen zu nennen",
    ],
    "fr": [
        "Je suis désolé, mais je ne peux pas décrire cette image.",
        "Désolée, je ne peux pas répondre à cette demande.",
        "En tant qu'IA, je ne peux pas voir les images.",
    ],
    "es": [
        "Lo siento, pero no puedo ayudar con esa solicitud.",
        "No puedo describir esta imagen.",
        "Como modelo de lenguaje, no puedo ver imágenes.",
    ],
    "pt": ["Desculpe, mas não posso ajudar com isso.", "Sinto muito, mas não posso descrever esta imagem."],
    "it": ["Mi dispiace, ma non posso aiutarti con questa richiesta."],
    "nl": ["Het spijt me, maar ik kan deze afbeelding niet beschrijven."],
    "pl": ["Przepraszam, ale nie mogę opisać tego obrazu."],
    "ru": ["Извините, но я не могу описать это изображение.", "К сожалению, я не могу помочь с этим запросом."],
    "zh": [
        "抱歉,我无法描述这张图片。",
        "很抱歉，我不能协助处理这个请求。",
        "作为一个AI语言模型，我无法查看图片。",
        "我无法识别图片中的人物。",
    ],
    "ja": ["申し訳ありませんが、この画像を説明することはできません。", "申し訳ございません。お手伝いできません。"],
    "ko": ["죄송합니다. 이 이미지를 설명할 수 없습니다.", "죄송하지만 도와드릴 수 없습니다."],
    "ar": ["عذرًا، لا يمكنني وصف هذه الصورة.", "آسف، لكن لا أستطيع المساعدة."],
    "hi": ["क्षमा करें, मैं इस छवि का वर्णन नहीं कर सकता।", "मुझे खेद है, मैं मदद नहीं कर सकता"],
    "vi": ["Xin lỗi, tôi không thể mô tả hình ảnh này."],
    "th": ["ขออภัย ฉันไม่สามารถอธิบายภาพนี้ได้"],
    "tr": ["Üzgünüm, ama bu görseli tarif edemem."],
}

PREAMBLES = {
    "en": [
        "Sure! Here is a caption for the image: a fox in the snow.",
        "Sure, here's a detailed description: a fox in the snow.",
        "Certainly! The image shows a fox in the snow.",
        "Of course! Below is the caption. A fox in the snow.",
        "Absolutely! A fox in the snow, looking at the camera.",
        "Here is a detailed caption of the photo: a fox in the snow",
        "Here's a prompt for this picture: fox, snow, winter",
        "Here are the tags: fox, snow, winter, forest",
        "Here is the caption you asked for: a fox in the snow",
        "Caption: a fox in the snow",
        "Description: a fox walks through deep snow",
        "**Caption:** a fox in the snow",
        "Image description: a fox in the snow",
        "Prompt: a fox in the snow, winter light",
        "Tags: fox, snow, winter",
        "Alt text: a fox in the snow",
        "Answer: a fox in the snow",
        "Based on the image provided, here is what I see: a fox",
        "I'd be happy to describe the image. It shows a fox in the snow.",
        "I can describe the picture: a fox in the snow.",
        "Okay, here's the description. A fox in the snow.",
        "Great, I'll write a caption: a fox in the snow",
        "A fox in the snow. Let me know if you need anything else!",
        'A sign that says "I hope this helps". Let me know if you need anything else!',
        "A fox in the snow. I hope this description helps!",
        "A fox in the snow. Would you like me to change the style?",
        "A fox in the snow. Feel free to ask for more details.",
        "A fox in the snow. Is there anything else I can do?",
        "A fox in the snow. (Word count: 5)",
        "A fox in the snow. This caption captures the mood of winter.",
        "A fox in the snow. If you would like more details, just ask.",
        "A fox in the snow. Note that I cannot tell where it was taken.",
        "Understood. Here is the text: a fox in the snow",
        "Sure thing! The image depicts a fox.",
        "The caption for this image could be: a fox in the snow",
        "A possible caption is: a fox in the snow",
        '"Caption": a fox in the snow',
        "Output: a fox in the snow",
    ],
    "de": ["Natürlich! Hier ist eine Beschreibung: ein Fuchs im Schnee.", "Beschreibung: ein Fuchs im Schnee",
           "Hier ist die Bildunterschrift: ein Fuchs im Schnee"],
    "fr": ["Bien sûr ! Un renard dans la neige.", "Voici une description de l'image : un renard dans la neige.",
           "Légende : un renard dans la neige"],
    "es": ["Claro, aquí tienes una descripción: un zorro en la nieve.", "Descripción: un zorro en la nieve"],
    "ru": ["Конечно! Лиса идёт по снегу.", "Описание: лиса на снегу", "Вот подробное описание: лиса на снегу"],
    "zh": ["当然！这张图片展示了一只狐狸。", "以下是对这张图片的描述：一只狐狸。", "图片描述：雪地里的狐狸", "好的，一只狐狸站在雪地里。"],
    "ja": ["もちろんです。雪の中のキツネです。", "以下は画像の説明です。雪の中のキツネ。", "キャプション：雪の中のキツネ"],
    "ko": ["물론입니다! 눈 속의 여우입니다.", "설명: 눈 속의 여우가 서 있다", "눈 속의 여우. 설명이 도움이 되길 바랍니다."],
}  # fmt: skip

ENCODING = ["{} \ufffd", "caf\ufffd, {}", "{} caf\\u00e9", "\\u732b {}", "{} \\xe9t\\xe9", "{}\x00", "\x1b[31m{}\x1b[0m",
            "\ufeff{}", "{} cafÃ©", "{} itâ€™s", "Ã¼ber {}", "{} â€œhelloâ€\x9d", "{} ï¿½", "{}\x85 rain", "{} \x07",
            "caf\ud83d {}", "{} Â© 2020", "{} ðŸ˜€", "\x0bLM\x02 {}", "{} \\U0001f431",
            "{} caf%C3%A9", "{} red%20hat", "{} caf=C3=A9", "{} =?utf-8?B?YSBjYXQ=?=", 'a sign that reads \\"open\\", {}',
            "data:image/png;base64,iVBORw0KGgo= {}"]  # fmt: skip

ENCODING_LATIN = ["a\u200b woman in\u200b a red dress", "a c\xada\xadt on a sofa", "a cat \u202eon a sofa", "a\u2060 dog in the snow",
                  "a cat\u200d on a mat", "a tree \u200e and a house", "a boat\ufeff on the lake", "die StraÃŸe im Regen",
                  "un garÃ§on joue", "el niÃ±o corre por la playa", "Ð\x9aÐ¾Ñ\x82 Ñ\x81Ð¿Ð¸Ñ\x82 Ð½Ð° Ð´Ð¸Ð²Ð°Ð½Ðµ",
                  "ã\x81\x93ã\x81®ç\x94»å\x83\x8f cat", "donâ€™t walk sign at night", "a caf\x82 in the rain", "voilÃ  un chat",
                  "CAFÃ‰ DE PARIS", "HÃ”TEL DE VILLE", "O POSTER “AMANHÃ” NA PAREDE",
                  "YSBjYXQgb24gYSByZWQgc29mYQ==", "0YDRi9C20LjQuSDQutC+0YI=", "a%20cat%20on%20a%20red%20sofa",
                  "a+cat+on+a+red+sofa", "%D1%80%D1%8B%D0%B6%D0%B8%D0%B9%20%D0%BA%D0%BE%D1%82", "a cat\\'s paw on the table"]  # fmt: skip

MARKUP = ["<p>{}</p>", "{}<br>", "<b>{}</b>", "{} &amp; rain", "&quot;{}&quot;", "{} &#39;sign&#39;", "{} https://example.com/a.jpg",
          "{} www.example.com", "{}, photo by me@example.com", "![{}](https://example.com/1.png)", "**{}**", "# {}",
          "{} IMG_1234.JPG", "DSC_0042 {}", "<div class=\"cap\">{}</div>", "<!-- {} -->", "{} &nbsp; &nbsp;", "## {}\n\ntext",
          "{} [source](https://example.com)", "<i>{}</i>", "{} photo_01.png", "<a href='x'>{}</a>", "&lt;{}&gt;",
          "http://example.com/img/33 {}"]  # fmt: skip

MARKUP_NAMES = ["IMG_20230412_101530.jpg", "DSC01234", "photo (12).png", "Screenshot 2023-04-12 at 10.15.30", "cat.jpeg",
                "00012345", "3f2504e0-4f89-11d3-9a0c-0305e82c3301", "d41d8cd98f00b204e9800998ecf8427e", "image_0001",
                "C:\\photos\\holiday\\beach.png", "/mnt/data/train/0001.webp", "PXL_20210101_120000", "untitled-3.psd",
                "WhatsApp Image 2021-05-03 at 18.22.10.jpeg", "frame_000123.png", "IMG_4432", "images/0001",
                "20210304_113045.jpg", "DSC_0001-Edit"]  # fmt: skip

TEMPLATE = ["[trigger] {}", "{}, [name]", "{} in the style of [artist]", "a photo of [subject], {}", "__animal__ and {}",
            "{}, __colors/warm__", "{} {red|green|blue}", "{name}, {}", "{}, <lora:film_grain:0.8>", "({}:1.2)",
            "{}, (sharp focus:1.3)", "{}, [trigger word]", "<trigger>, {}", "TRIGGERWORD, {}", "[insert name here], {}",
            "{}, {{style}}", "${subject}, {}", "%(name)s, {}", "{}, <hypernet:anime:0.5>", "[cat:dog:0.5] {}", "{} [red|blue]",
            "lorem ipsum dolor sit amet, {}", "[your trigger here] {}", "INSERT_TRIGGER_HERE {}", "{}, embedding:easynegative",
            "<wildcard:hair> {}", "{caption}, {}", "{}, [filewords]", "<lyco:detail:1>{}", "{}, [Name]",
            "photo of <subject>, {}", "[subject name], {}", "YOUR_NAME, {}",
            "[insert description here] {}", "{}, <enter caption>"]  # fmt: skip

REPEATED = ["{} {} {}", "{}. {}. {}.", "{}, {}, {}, {}", "{}. {}."]

REPEATED_MORE = {
    "en": ["a photo of a cat cat cat cat cat", "a cat on a sofa a cat on a sofa", "a dog and a dog and a dog and a dog and a dog",
           "a woman in a red dress. " + "she is smiling at the camera and " * 9, "a photo of a dooooooooooooooooog",
           "the the the the man walks", "a man with a hat with a hat with a hat with a hat with a hat",
           "A quiet street at night with parked cars. The sign reads " + "A" * 40,
           "the tree on the left is tall. the tree on the left is tall. the tree is green.",
           "A man stands at the door, and then " + "another man stands at the door, and then " * 7],
    "zh": ["一只猫和一只猫和一只猫和一只猫和一只猫和一只猫", "红色的房子红色的房子红色的房子红色的房子红色的房子"],
    "th": ["แมวนั่งบนโซฟา" * 12],
    "ja": ["青い空、" * 15],
    "tags": ["1girl, solo, 1girl, solo, 1girl, solo, 1girl, solo", "cat, cat, cat, cat, cat, dog"],
}  # fmt: skip

TAGS = ["1girl, solo, 2girls, long hair", "solo, multiple girls, beach", "no humans, 1girl, scenery, sky", "1girl, 3girls, cafe, table",
        "1boy, 2boys, soccer, ball", "1girl, solo, long hair, short hair, smile", "1girl, solo, open mouth, closed mouth, hat",
        "1girl, solo, day, night, city", "solo, 1boy, standing, sitting, chair", "rating:safe, rating:explicit, 1girl, bed",
        "masterpiece, worst quality, 1girl, tree", "solo, duo, fox, forest", "1girl, solo, smile, hat, smile, hat, tree, road",
        "cat, dog, tree, cat, dog, house, road, sky", "1girl, long_hair, long hair, smile, hat, sky, sea, smile",
        "1boy, solo, multiple boys, sword", "no_humans, 2girls, city, car", "sfw, nsfw, woman, portrait",
        "1girl, solo, from behind, from front, dress", "1girl, solo, very long hair, bald, armor"]  # fmt: skip

BAD: dict[str, list[tuple[str, str]]] = {
    "empty": [("none", caption) for caption in EMPTY],
    "suspicious": _with(SUSPICIOUS) + [("en", caption) for caption in SUSPICIOUS_EN],
    "refusal": _all(REFUSALS),
    "preamble": _all(PREAMBLES),
    "encoding": _with(ENCODING) + [("latin", caption) for caption in ENCODING_LATIN],
    "markup": _with(MARKUP) + [("file", caption) for caption in MARKUP_NAMES],
    "template": _with(TEMPLATE),
    "repeated": _with(REPEATED * 6) + _all(REPEATED_MORE),
    "tags": [("tags", caption) for caption in TAGS],
    "long": [
        ("en", " ".join(f"word{i}" for i in range(420))),
        ("zh", "".join(chr(0x4E00 + i) for i in range(900))),
        ("ru", " ".join(f"слово{i}" for i in range(500))),
        ("tags", ", ".join(f"tag {i}" for i in range(300))),
        ("en", "\n".join(f"line {i} of a file that is no caption at all {i * 7919}" for i in range(90))),
    ],
}

ALSO: dict[str, set[str]] = {
    "**Caption:** a fox in the snow": {"markup"},
    "青い空、" * 15: {"tags"},
    "1girl, solo, 1girl, solo, 1girl, solo, 1girl, solo": {"tags"},
    "cat, cat, cat, cat, cat, dog": {"tags"},
    BAD["long"][-1][1]: {"repeated"},
}
"""Captions with a second fault."""
