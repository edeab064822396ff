"""Everyday Mandarin sentences for the mini corpus, made from templates.

The words are chosen so that sound alone does not tell the characters: 他 她 它, 在 再, 做 坐 作, 的 得 地, 买 卖 and
many others sound alike or nearly so, and only the rest of the sentence says which one is right.
"""

from __future__ import annotations

import random
import re

from speechlm.core.errors import UserError

WORDS: dict[str, str] = {
    "he": "爸爸 哥哥 弟弟 爷爷 叔叔 我爸爸 你哥哥 王先生 李先生 男朋友 男同学",
    "she": "妈妈 姐姐 妹妹 奶奶 阿姨 我妈妈 你姐姐 王小姐 李小姐 女朋友 女同学",
    "pet": "小猫 小狗 小鸟 小马 大象 小鸡 白猫 黑狗",
    "who": "我 你 我们 你们 老师 同学们 我朋友 医生 经理 大家",
    "one": "爸爸 妈妈 哥哥 姐姐 老师 医生 爷爷 奶奶 同学 经理 叔叔 阿姨",
    "day": "今天 明天 周末 星期三 星期五 星期天 下午 晚上 早上 中午",
    "later": "明天 后天 周末 下个月 明年 晚上 下星期",
    "past": "昨天 昨晚 前天 上个月 去年 上星期 今天早上",
    "clock": "一点 两点 三点 四点 五点 六点 七点半 八点半 九点 十点 十一点 十二点",
    "place": "学校 公园 医院 商店 饭店 车站 书店 公司 机场 超市 银行 教室 电影院 花园",
    "near": "学校 公园 医院 商店 饭店 车站 书店 公司 超市 银行",
    "city": "北京 上海 西安 南京 天津 广州 香港",
    "spot": "桌子上 椅子上 门后边 床下边 树下 房间里 院子里 窗户外边 车里 箱子里",
    "room": "房间里 院子里 教室里 家里 办公室里",
    "at": (
        "在公园散步 在公园跑步 在学校学习 在学校打球 在教室写字 在教室做作业 在家里做饭 在家里洗衣服 在商店买东西 "
        "在超市买水果 在医院看病 在银行工作 在公司上班 在书店看书 在书店买书 在饭店吃饭 在花园画画 在花园里看花 "
        "在车站等车 在机场等飞机 在电影院看电影 在房间里听音乐 在院子里跳舞"
    ),
    "act": (
        "看书 写字 唱歌 跳舞 跑步 游泳 画画 做饭 打球 上网 睡觉 学习 工作 聊天 散步 买东西 做作业 洗衣服 听音乐 "
        "看电影 打电话"
    ),
    "home": "看书 写字 睡觉 做饭 做作业 洗衣服 听音乐 看电视 打电话 上网",
    "quiet": "看书 写字 画画 做作业 听音乐 打电话 上网",
    "verb": "看 听 问 说 写 读 等 试 找 想",
    "food": "米饭 面条 苹果 鱼 牛肉 鸡蛋 蛋糕 饺子 水果 面包 西瓜 羊肉",
    "drink": "茶 水 牛奶 咖啡 果汁 热茶 冰水",
    "ride": "公共汽车 火车 飞机 地铁 出租车 船",
    "thing": (
        "一本书 两本书 一件衣服 三件衣服 一张票 四张票 一张画 一辆车 一束花 一台电脑 一部手机 五个苹果 一把椅子 "
        "六个杯子 一块手表"
    ),
    "goods": "衣服 手机 电脑 手表 鞋子 帽子 书包 水果 自行车 杯子",
    "colour": "红色 白色 黑色 绿色 黄色 蓝色",
    "price": "三十元 五十元 八十元 一百元 两百元 五百元 一千元",
    "mood": "高兴 难过 生气 担心 着急 害怕 开心",
    "state": "很累 很忙 很饿 病了 迟到了 来晚了 很冷 很渴",
    "person": "认真 聪明 热情 年轻 有名 有意思 客气 漂亮",
    "speed": (
        "跑得很快 走得很慢 唱得真好 写得很清楚 说得太快 起得很早 睡得太晚 吃得不多 学得非常好 做得很对 跳得很高 "
        "画得真好看 来得最早"
    ),
    "way": "慢慢地走 高兴地笑 认真地学习 安静地坐着 大声地说话 生气地走了 快乐地唱歌 着急地问 努力地工作 轻轻地开门",
    "sky": "很冷 太热了 是晴天 是阴天 要下雨 下雪了 风很大 不太冷",
    "subject": "数学 历史 汉语 英语 音乐 画画 文化",
    "minutes": "十分钟 五分钟 二十分钟 半个小时 一个小时 两个小时",
    "years": "三年 五年 十年 半年 一个月 一个星期 很长时间",
    "age": "八岁 十岁 二十岁 三十岁 四十岁 七十岁",
    "lesson": "第一课 第二课 第三课 第五课 第十课 这个故事 这个问题 那道题 新的课文",
}

TEMPLATES = """
{he}说他{later}要{act}
{she}说她{later}要{act}
{he}说他不喜欢{act}
{she}说她最喜欢{act}
{he}今天{state}他想回家
{she}今天{state}她想回家
{he}不在家他去{place}了
{she}不在家她去{place}了
我问{he}他为什么{mood}
我问{she}她为什么{mood}
我喜欢和{he}聊天他很{person}
我喜欢和{she}聊天她很{person}
男同学们说他们{later}再{act}
女同学们说她们{later}再{act}
小猫和小狗饿了它们想吃{food}
{pet}饿了请给它一点{food}
{pet}在{spot}它在睡觉
{pet}生病了它不想吃{food}
我很喜欢这只{pet}它很聪明
{who}{day}{at}
{who}{past}{at}
{one}正{at}
{one}每天{clock}{at}
{he}说他{day}{at}
{she}说她{day}{at}
{who}{later}再去{place}
{who}现在在家里{home}
{one}正在{room}{quiet}
请你再{verb}一次
请再给我一杯{drink}
我们{clock}再见面吧
吃完饭再{act}
你先{act}再休息
你的{goods}在{spot}
我的{goods}不在{spot}
{who}坐{ride}去{place}
{who}每天坐{ride}去工作
{one}坐在{spot}喝{drink}
{day}我们坐{ride}回家
{one}在家做{food}给我们吃
孩子们在教室里做作业
老师让我们{later}做作业
请进来坐这里还有座位
请进{room}坐
{who}每天{clock}开始工作
{one}做什么工作
{who}{past}买了{thing}
{one}想买{thing}
他们卖{goods}不卖{food}
那家商店卖的{goods}很便宜
这件{colour}的衣服卖{price}
{who}花了{price}买{goods}
这是{one}的{goods}
{one}的{goods}是{colour}的
那个穿{colour}衣服的人是我{he}
那个穿{colour}衣服的人是我{she}
戴{colour}帽子的人是{one}
请带你的{goods}来
{who}{speed}
{one}{speed}
{one}{way}
{who}{past}{way}
{past}天气{sky}
{city}{day}{sky}
因为下雨所以{who}没有去{place}
虽然{state}但是{one}很{mood}
如果{later}下雨我们就在家{home}
{near}离我家很近
{near}离{near}很远
从{near}到{near}要走{minutes}
从{city}到{city}要坐{ride}
{one}住在{city}有{years}了
{who}在{city}住了{years}
{who}{past}去了{city}
{who}想{later}去{city}旅游
{one}会说英语也会说汉语
{one}教我们{subject}
{who}对{subject}很有兴趣
{subject}考试在{day}{clock}
{who}学{subject}学了{years}
{who}昨天学习了{minutes}
{who}没有听懂{lesson}
老师给我们讲{lesson}
请大家看{lesson}
你知道{one}的生日是几月几号吗
{one}的电话号码是多少
现在是{clock}了
{day}{clock}我在{near}等你
{ride}{clock}到站
{who}{clock}起床{clock}睡觉
{one}喜欢喝{drink}吃{food}
你想喝{drink}还是{drink}
我要一杯{drink}和一些{food}
{food}比{food}好吃
桌子上有{food}和{drink}
{one}吃饱了不想再吃{food}
请给{one}倒一杯{drink}
{one}送给我{thing}
这是{one}送给你的生日礼物
我把{goods}放在{spot}了
请把{goods}给{one}
{one}把{goods}忘在{place}了
{goods}被{one}拿走了
{one}比我大三岁
{one}今年{age}
我和{one}一样高
我又忘了带{goods}
{one}又{state}
医生让{he}多喝水他不听
医生让{she}多休息她不听
右边的{near}是新开的
左边有一个{near}
{one}身体怎么样
{he}的眼睛很像他爸爸
{she}的眼睛很像她妈妈
向前走就到{near}了
向右走就是{near}
向左走可以到{near}
我给{one}写了一封信
我相信{one}说的话
{one}说话的声音很小
{past}我们听{one}讲话
{who}非常{mood}
{who}常常去机场接{one}
请问去{near}怎么走
请问{near}在哪里
那里就是{near}
你的{goods}在哪里
{goods}又漂亮又便宜
银行{clock}开门
{who}已经到{place}了
{who}知道这件事情
{one}的事情我不知道
{one}告诉我{city}{sky}
今年是我在{city}的第三年
十个同学有四个是{city}人
我认识那位{person}的老师
我自己坐{ride}去{place}
{who}第一次去{city}
{who}也想去{city}
{one}给客人倒{drink}
请大家再读{lesson}
{he}找不到他的{goods}
{she}找不到她的{goods}
孩子们喜欢看电视
{one}喜欢看电视也喜欢看书
{one}借给我{thing}
这个字怎么读是什么意思
{lesson}是什么意思
我不认识这个字
{one}的办公室在{near}前面
"""


def words_of(slot: str) -> list[str]:
    """List the words that may fill a slot."""
    return WORDS[slot].split()


def templates() -> list[str]:
    """List the templates."""
    return TEMPLATES.split()


def combinations(template: str) -> int:
    """Count the ways to fill a template."""
    ways = 1
    for slot in re.findall(r"\{(\w+)\}", template):
        ways *= len(words_of(slot))
    return ways


def fill(template: str, chooser: random.Random) -> str:
    """Fill the slots of a template; a slot that stands twice gets two different words."""
    used: list[str] = []

    def word(match: re.Match[str]) -> str:
        used.append(chooser.choice([w for w in words_of(match.group(1)) if w not in used]))
        return used[-1]

    return re.sub(r"\{(\w+)\}", word, template)


def sentences(count: int, seed: int) -> list[str]:
    """Make `count` different sentences; the same ones for the same seed.

    A template is drawn with the weight n ** 0.4 if it can make n, so that long ones do not drown the rest.
    Raises UserError if there are not so many sentences.
    """
    patterns = templates()
    possible = sum(map(combinations, patterns)) // 2  # beyond, finding new ones takes too long
    if count > possible:
        raise UserError(f"the built-in templates make {possible} sentences, not {count}; ask for fewer")
    weights = [combinations(pattern) ** 0.4 for pattern in patterns]
    chooser = random.Random(f"sentences {seed}")
    made: dict[str, None] = {}
    while len(made) < count:
        made[fill(chooser.choices(patterns, weights)[0], chooser)] = None
    return list(made)
