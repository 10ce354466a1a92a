# ruff: noqa: RUF001 -- letters of many scripts are the point here
"""Names, offices and job titles for made-up people, in the scripts that real directories hold."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Culture:
    """Names of one language, as written; after a bar the spelling for mail addresses."""

    language: str
    given: tuple[str, ...]
    family: tuple[str, ...]

    @property
    def family_first(self) -> bool:
        """Whether a full name begins with the family name."""
        return self.language in {"vi", "zh", "ja", "ko"}


@dataclass(frozen=True, slots=True)
class Office:
    """A place of work: `dial` is the prefix of its telephone numbers, `postcode` has # for digits."""

    city: str
    region: str
    street: str
    postcode: str
    dial: str


CULTURES = (
    Culture("en", ("Grace", "Oliver", "Amelia", "Siobhán", "Noah"), ("Hughes", "O'Brien", "Taylor-Smith", "Ng")),
    Culture("de", ("Jürgen", "Käthe", "Lena", "Günther", "Heike"), ("Müller", "Weiß", "von der Heide", "Schröder")),
    Culture("fr", ("Zoë", "François", "Hélène", "Loïc", "Maëlys"), ("Lefèvre", "d'Aboville", "Nuñez", "Gauthier")),
    Culture("pl", ("Łukasz", "Małgorzata", "Żaneta", "Wojciech"), ("Wiśniewski", "Kowalczyk", "Dąbrowska", "Źrebiec")),
    Culture("cs", ("Jiří", "Zdeňka", "Ondřej", "Šárka"), ("Dvořák", "Růžičková", "Němec", "Černý")),
    Culture("tr", ("Işıl", "Çağrı", "Gülşen", "İbrahim"), ("Yılmaz", "Öztürk", "Şahin", "Doğan")),
    Culture("da", ("Søren", "Åse", "Bjørn", "Kjærsti"), ("Sørensen", "Kjær", "Østergaard", "Ibsen")),
    Culture("is", ("Þórdís", "Sigurður", "Æsa", "Guðrún"), ("Jónsdóttir", "Þórsson", "Björnsson", "Hauksdóttir")),
    Culture("vi", ("Thị Hương", "Văn Đức", "Minh Anh", "Quốc Bảo"), ("Nguyễn", "Trần", "Phạm", "Đặng")),
    Culture("yo", ("Adéọlá", "Ṣadé", "Olúwaṣeun", "Títílayọ̀"), ("Adébáyọ̀", "Ògúnlẹ́yẹ", "Akíntọ́lá", "Balógun")),
    Culture(
        "el", ("Ελένη|eleni", "Γιώργος|giorgos", "Σοφία|sofia"), ("Παπαδόπουλος|papadopoulos", "Νικολάου|nikolaou")
    ),
    Culture("ru", ("Анна|anna", "Дмитрий|dmitriy", "Ольга|olga"), ("Иванова|ivanova", "Щербаков|shcherbakov")),
    Culture("uk", ("Олексій|oleksii", "Їванна|yivanna"), ("Шевченко|shevchenko", "Ґалаґан|galagan")),
    Culture("he", ("נועה|noa", "יוסף|yosef", "תמר|tamar"), ("כהן|cohen", "לוי|levi", "מזרחי|mizrahi")),
    Culture("ar", ("فاطمة|fatima", "محمد|mohammed", "ليلى|layla"), ("الحسيني|alhusseini", "حداد|haddad")),
    Culture("hi", ("प्रिया|priya", "अर्जुन|arjun", "लक्ष्मी|lakshmi"), ("शर्मा|sharma", "सिंह|singh", "गुप्ता|gupta")),
    Culture("ta", ("கவிதா|kavitha", "முருகன்|murugan"), ("சுப்பிரமணியம்|subramaniam", "இளங்கோ|ilango")),
    Culture("th", ("สมชาย|somchai", "กัญญา|kanya"), ("ศรีสุข|srisuk", "วงศ์ใหญ่|wongyai")),
    Culture("ka", ("ნინო|nino", "გიორგი|giorgi"), ("ბერიძე|beridze", "კაპანაძე|kapanadze")),
    Culture("am", ("ሰላም|selam", "ዳዊት|dawit"), ("ተስፋዬ|tesfaye", "ገብረ|gebre")),
    Culture("zh", ("伟|wei", "秀英|xiuying", "𠮷祥|jixiang"), ("王|wang", "欧阳|ouyang", "李|li")),
    Culture("ja", ("さくら|sakura", "健一|kenichi", "ミドリ|midori"), ("渡邊|watanabe", "佐藤|sato", "髙橋|takahashi")),
    Culture("ko", ("지우|jiwoo", "서연|seoyeon", "민준|minjun"), ("김|kim", "박|park", "남궁|namgung")),
)

OFFICES = (
    Office("Berlin", "Berlin", "Köpenicker Straße", "10###", "+49 30 5550"),
    Office("Zürich", "ZH", "Bahnhofstrasse", "80##", "+41 44 555 "),
    Office("Dublin", "Leinster", "St Stephen's Green", "D02 X###", "+353 1 555 "),
    Office("São Paulo", "SP", "Avenida São João", "01###-000", "+55 11 5555-"),
    Office("東京", "東京都", "千代田区丸の内", "100-####", "+81 3 5550 "),
    Office("Montréal", "QC", "Rue Saint-Denis", "H2X #K#", "+1 514 555-"),
)

DEPARTMENTS = ("Engineering", "Sales", "Finance", "Research & Development", "Personal", "Außendienst", "営業部")

TITLES = (
    "Engineer",
    "Senior Engineer",
    "Accountant",
    "Sales Representative",
    "Projektleiterin",
    "Directrice adjointe",
    "Główny księgowy",
    "部長",
    "Інженер",
    "Trainee",
)
