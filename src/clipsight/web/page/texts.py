"""Every sentence of the page, in English, Traditional and Simplified Chinese; called by all of `page`.

Words in braces are filled in: in Python by `str.format`, in the browser by `clipsight.fill`.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Texts:
    """The page's sentences in one language."""

    code: str
    """BCP 47, also the page's place below the server: /en/, /zh-Hant/, /zh-Hans/"""
    language: str

    # tabs
    search: str
    classify: str
    library: str

    # the query
    search_label: str
    placeholder: str
    hint: str
    picture: str
    drop_search: str
    parts: str
    added: str
    subtracted: str
    weight_of: str
    remove: str
    unreadable: str
    too_large: str

    # filters
    filters: str
    folder: str
    all_folders: str
    date_from: str
    date_to: str
    date_example: str
    with_label: str
    balance: str
    balance_info: str
    sure: str
    sure_info: str

    # photos
    gallery: str
    best: str
    found: str
    found_one: str
    found_none: str
    browse: str
    scored: str
    gone: str
    more: str

    # one photo
    close: str
    previous: str
    next: str
    score: str
    taken: str
    file_date: str
    pixels: str
    size: str
    camera: str
    format: str
    labels: str
    path: str
    copy: str
    copied: str
    more_like_this: str
    explain: str
    explaining: str
    classify_this: str
    full_size: str
    words: str
    words_info: str
    heat: str
    heat_info: str
    raises: str
    lowers: str

    # classification
    photos: str
    drop_classify: str
    choose: str
    use_found: str
    clear: str
    no_photos: str
    chips_label: str
    chips_hint: str
    chips_example: str
    templates: str
    template_plain: str
    template_simple: str
    template_imagenet: str
    unknown: str
    unknown_info: str
    run: str
    need_photos: str
    need_labels: str
    table: str
    photo: str
    download: str

    # the library and indexing
    welcome: str
    welcome_info: str
    add_folder: str
    choose_folder: str
    up: str
    start: str
    no_roots: str
    no_subfolders: str
    stop: str
    stopping: str
    walking: str
    progress: str
    done: str
    stopped: str
    failed: str
    unread: str
    in_all: str
    folders: str
    indexed: str
    never: str
    unreachable: str
    index_again: str
    update_all: str
    failures: str
    failures_more: str
    retry: str
    model: str
    no_model: str
    next_model: str
    switch_to: str
    switch: str
    switch_info: str
    to_download: str

    # what can't be done, with the error's own words, which are English
    bad_query: str
    bad_picture: str
    bad_labels: str
    bad_library: str
    bad_model: str
    not_there: str
    busy: str
    no_photos_yet: str


ENGLISH = Texts(
    code="en",
    language="English",
    search="Search",
    classify="Classify",
    library="Library",
    search_label="Search your photos",
    placeholder="two dogs on a beach",
    hint="Combine and weigh: flower + 2:bee - cartoon. Drop or paste a picture to search with it.",
    picture="Picture",
    drop_search="Drop to search with this picture",
    parts="Parts of the query",
    added="{part} is added; press to subtract it",
    subtracted="{part} is subtracted; press to add it",
    weight_of="Weight of {part}",
    remove="Remove {part}",
    unreadable="{name} is not a picture this browser or clipsight can read.",
    too_large="{name} is larger than 20 MB.",
    filters="Filters",
    folder="Folder",
    all_folders="All folders",
    date_from="Taken from",
    date_to="Taken to",
    date_example="2024 or 2024-05-31",
    with_label="Labels",
    balance="Balance words and pictures",
    balance_info="Otherwise a picture outweighs the words beside it.",
    sure="Only sure matches",
    sure_info="Leaves out photos that don't really fit the words.",
    gallery="Photos found",
    best="Best matches first",
    found="{count} photos, best first",
    found_one="1 photo",
    found_none="No photo found. Try other words, or fewer filters.",
    browse="Some of your photos",
    scored="{name}, score {score}",
    gone="The photo can't be shown: its file may be gone.",
    more="More photos",
    close="Close",
    previous="Previous photo",
    next="Next photo",
    score="Score",
    taken="Taken",
    file_date="{date} (date of the file)",
    pixels="Pixels",
    size="Size",
    camera="Camera",
    format="Format",
    labels="Labels",
    path="Path",
    copy="Copy",
    copied="Copied",
    more_like_this="More like this",
    explain="Explain",
    explaining="Looking for reasons...",
    classify_this="Add to Classify",
    full_size="Full size",
    words="Words",
    words_info="How much each part or word of the query adds to the score.",
    heat="Heat map",
    heat_info="Bright places raise the score.",
    raises="raises the score",
    lowers="lowers the score",
    photos="Photos",
    drop_classify="Drop pictures here",
    choose="Choose pictures",
    use_found="Take the photos found",
    clear="Remove all",
    no_photos="Drop pictures here, choose some, or take those of your last search.",
    chips_label="Labels to choose among",
    chips_hint="Enter or a comma ends a label.",
    chips_example="a dog, a cat, a landscape",
    templates="Turn labels into sentences",
    template_plain="As they stand",
    template_simple="A few ways (better for single words)",
    template_imagenet="80 ways (slower, for everyday objects)",
    unknown='Allow "none of these"',
    unknown_info="For photos that no label fits.",
    run="Classify",
    need_photos="Add at least one photo.",
    need_labels="Add at least two labels.",
    table="Probability of each label for each photo",
    photo="Photo",
    download="Download CSV",
    welcome="Which photos shall clipsight look at?",
    welcome_info="Choose a folder. Photos are only read, never changed, and nothing leaves this computer. "
    "You can search while it works.",
    add_folder="Add a folder",
    choose_folder="Folders",
    up="Back to {name}",
    start="Index {name}",
    no_roots="This server was not given a folder to choose from. Start it with one: "
    "clipsight serve --roots ~/Pictures",
    no_subfolders="No folders in here.",
    stop="Stop",
    stopping="Stopping...",
    walking="Looking for photos: {scanned} files so far",
    progress="{done} of {total} files",
    done="Ready: {photos} photos can be searched.",
    stopped="Stopped. What was done is kept: {photos} photos can be searched.",
    failed="Indexing failed: {error}",
    unread="Files that could not be read: {failed} (see Library)",
    in_all="{photos} photos, {bytes} on disk",
    folders="Folders",
    indexed="Indexed",
    never="not completely yet",
    unreachable="{count} photos can't be reached now",
    index_again="Bring up to date",
    update_all="Bring all up to date",
    failures="Files that could not be read ({count})",
    failures_more="The first {count} are shown.",
    retry="Try them again",
    model="Model",
    no_model="Chosen when the first folder is indexed",
    next_model="Switching to {model}: {count} photos to go. The old model answers until then.",
    switch_to="Another model",
    switch="Switch",
    switch_info="All photos are looked at again, in the background; you can search meanwhile.",
    to_download="{size} to download",
    bad_query="{reason}",
    bad_picture="{reason}",
    bad_labels="{reason}",
    bad_library="{reason}",
    bad_model="{reason}",
    not_there="{reason}",
    busy="{reason}",
    no_photos_yet="{reason}",
)

TRADITIONAL = Texts(
    code="zh-Hant",
    language="繁體中文",
    search="搜尋",
    classify="分類",
    library="相片庫",
    search_label="搜尋你的相片",
    placeholder="沙灘上的兩隻狗",
    hint="可用 + 與 - 組合並加上權重：flower + 2:bee - cartoon。拖放或貼上圖片即可以圖搜尋。",
    picture="圖片",
    drop_search="放開即可用這張圖片搜尋",
    parts="查詢的各部分",
    added="已加入「{part}」；按一下改為排除",
    subtracted="已排除「{part}」；按一下改為加入",
    weight_of="「{part}」的權重",
    remove="移除「{part}」",
    unreadable="無法讀取圖片 {name}。",
    too_large="{name} 超過 20 MB。",
    filters="篩選",
    folder="資料夾",
    all_folders="所有資料夾",
    date_from="拍攝日期從",
    date_to="拍攝日期到",
    date_example="2024 或 2024-05-31",
    with_label="標籤",
    balance="平衡文字與圖片",
    balance_info="否則圖片的影響會蓋過文字。",
    sure="只顯示確定符合的",
    sure_info="略去與文字其實不符的相片。",
    gallery="找到的相片",
    best="最符合的在前",
    found="{count} 張相片，最符合的在前",
    found_one="1 張相片",
    found_none="找不到相片。請換個說法，或減少篩選條件。",
    browse="你的部分相片",
    scored="{name}，分數 {score}",
    gone="無法顯示相片：檔案可能已不存在。",
    more="更多相片",
    close="關閉",
    previous="上一張",
    next="下一張",
    score="分數",
    taken="拍攝時間",
    file_date="{date}（檔案日期）",
    pixels="像素",
    size="大小",
    camera="相機",
    format="格式",
    labels="標籤",
    path="路徑",
    copy="複製",
    copied="已複製",
    more_like_this="類似的相片",
    explain="解釋",
    explaining="正在找出原因…",
    classify_this="加入分類",
    full_size="完整大小",
    words="文字",
    words_info="查詢中每個部分或字詞對分數的貢獻。",
    heat="熱圖",
    heat_info="明亮處提高分數。",
    raises="提高分數",
    lowers="降低分數",
    photos="相片",
    drop_classify="把圖片放在這裡",
    choose="選擇圖片",
    use_found="使用搜尋到的相片",
    clear="全部移除",
    no_photos="把圖片拖放到這裡、選擇圖片，或使用上次搜尋到的相片。",
    chips_label="可選的標籤",
    chips_hint="按 Enter 或逗號結束一個標籤。",
    chips_example="狗, 貓, 風景",
    templates="將標籤變成句子",
    template_plain="照原樣",
    template_simple="幾種說法（適合單詞）",
    template_imagenet="80 種說法（較慢，適合日常物品）",
    unknown="允許「以上皆非」",
    unknown_info="用於沒有標籤符合的相片。",
    run="分類",
    need_photos="請至少加入一張相片。",
    need_labels="請至少加入兩個標籤。",
    table="每張相片屬於各標籤的機率",
    photo="相片",
    download="下載 CSV",
    welcome="clipsight 要看哪些相片？",
    welcome_info="請選擇資料夾。相片只會被讀取，不會更動，也不會離開這部電腦。處理期間即可搜尋。",
    add_folder="加入資料夾",
    choose_folder="資料夾",
    up="返回 {name}",
    start="為 {name} 建立索引",
    no_roots="此伺服器沒有可選的資料夾。請這樣啟動：clipsight serve --roots ~/Pictures",
    no_subfolders="這裡沒有資料夾。",
    stop="停止",
    stopping="正在停止…",
    walking="正在尋找相片：已看過 {scanned} 個檔案",
    progress="{total} 個檔案中的 {done} 個",
    done="完成：可搜尋 {photos} 張相片。",
    stopped="已停止，完成的部分會保留：可搜尋 {photos} 張相片。",
    failed="建立索引失敗：{error}",
    unread="有 {failed} 個檔案無法讀取，請見「相片庫」。",
    in_all="{photos} 張相片，佔用 {bytes}",
    folders="資料夾",
    indexed="索引時間",
    never="尚未完成",
    unreachable="目前無法存取 {count} 張相片",
    index_again="更新",
    update_all="全部更新",
    failures="無法讀取的檔案（{count}）",
    failures_more="顯示前 {count} 個。",
    retry="再試一次",
    model="模型",
    no_model="為第一個資料夾建立索引時選定",
    next_model="正在切換到 {model}：還有 {count} 張相片。完成前仍由舊模型回答。",
    switch_to="其他模型",
    switch="切換",
    switch_info="所有相片會在背景重新處理；期間仍可搜尋。",
    to_download="需下載 {size}",
    bad_query="無法處理這個查詢：{reason}",
    bad_picture="無法使用這張圖片：{reason}",
    bad_labels="無法使用這些標籤：{reason}",
    bad_library="無法使用相片庫：{reason}",
    bad_model="無法使用模型：{reason}",
    not_there="已找不到這個項目，請重新搜尋：{reason}",
    busy="正在處理另一項工作，請稍後再試：{reason}",
    no_photos_yet="還沒有可搜尋的相片，請先加入資料夾：{reason}",
)

SIMPLIFIED = Texts(
    code="zh-Hans",
    language="简体中文",
    search="搜索",
    classify="分类",
    library="照片库",
    search_label="搜索你的照片",
    placeholder="沙滩上的两只狗",
    hint="可用 + 和 - 组合并加上权重：flower + 2:bee - cartoon。拖放或粘贴图片即可以图搜索。",
    picture="图片",
    drop_search="松开即可用这张图片搜索",
    parts="查询的各部分",
    added="已加入“{part}”；点一下改为排除",
    subtracted="已排除“{part}”；点一下改为加入",
    weight_of="“{part}”的权重",
    remove="移除“{part}”",
    unreadable="无法读取图片 {name}。",
    too_large="{name} 超过 20 MB。",
    filters="筛选",
    folder="文件夹",
    all_folders="所有文件夹",
    date_from="拍摄日期从",
    date_to="拍摄日期到",
    date_example="2024 或 2024-05-31",
    with_label="标签",
    balance="平衡文字与图片",
    balance_info="否则图片的影响会盖过文字。",
    sure="只显示确定符合的",
    sure_info="略去与文字其实不符的照片。",
    gallery="找到的照片",
    best="最符合的在前",
    found="{count} 张照片，最符合的在前",
    found_one="1 张照片",
    found_none="找不到照片。请换个说法，或减少筛选条件。",
    browse="你的部分照片",
    scored="{name}，分数 {score}",
    gone="无法显示照片：文件可能已不存在。",
    more="更多照片",
    close="关闭",
    previous="上一张",
    next="下一张",
    score="分数",
    taken="拍摄时间",
    file_date="{date}（文件日期）",
    pixels="像素",
    size="大小",
    camera="相机",
    format="格式",
    labels="标签",
    path="路径",
    copy="复制",
    copied="已复制",
    more_like_this="类似的照片",
    explain="解释",
    explaining="正在找出原因…",
    classify_this="加入分类",
    full_size="完整大小",
    words="文字",
    words_info="查询中每个部分或词语对分数的贡献。",
    heat="热图",
    heat_info="明亮处提高分数。",
    raises="提高分数",
    lowers="降低分数",
    photos="照片",
    drop_classify="把图片放在这里",
    choose="选择图片",
    use_found="使用搜索到的照片",
    clear="全部移除",
    no_photos="把图片拖放到这里、选择图片，或使用上次搜索到的照片。",
    chips_label="可选的标签",
    chips_hint="按 Enter 或逗号结束一个标签。",
    chips_example="狗, 猫, 风景",
    templates="将标签变成句子",
    template_plain="照原样",
    template_simple="几种说法（适合单词）",
    template_imagenet="80 种说法（较慢，适合日常物品）",
    unknown="允许“以上都不是”",
    unknown_info="用于没有标签符合的照片。",
    run="分类",
    need_photos="请至少加入一张照片。",
    need_labels="请至少加入两个标签。",
    table="每张照片属于各标签的概率",
    photo="照片",
    download="下载 CSV",
    welcome="clipsight 要看哪些照片？",
    welcome_info="请选择文件夹。照片只会被读取，不会改动，也不会离开这台电脑。处理期间即可搜索。",
    add_folder="加入文件夹",
    choose_folder="文件夹",
    up="返回 {name}",
    start="为 {name} 建立索引",
    no_roots="此服务器没有可选的文件夹。请这样启动：clipsight serve --roots ~/Pictures",
    no_subfolders="这里没有文件夹。",
    stop="停止",
    stopping="正在停止…",
    walking="正在查找照片：已看过 {scanned} 个文件",
    progress="{total} 个文件中的 {done} 个",
    done="完成：可搜索 {photos} 张照片。",
    stopped="已停止，完成的部分会保留：可搜索 {photos} 张照片。",
    failed="建立索引失败：{error}",
    unread="有 {failed} 个文件无法读取，请见“照片库”。",
    in_all="{photos} 张照片，占用 {bytes}",
    folders="文件夹",
    indexed="索引时间",
    never="尚未完成",
    unreachable="目前无法访问 {count} 张照片",
    index_again="更新",
    update_all="全部更新",
    failures="无法读取的文件（{count}）",
    failures_more="显示前 {count} 个。",
    retry="再试一次",
    model="模型",
    no_model="为第一个文件夹建立索引时选定",
    next_model="正在切换到 {model}：还有 {count} 张照片。完成前仍由旧模型回答。",
    switch_to="其他模型",
    switch="切换",
    switch_info="所有照片会在后台重新处理；期间仍可搜索。",
    to_download="需下载 {size}",
    bad_query="无法处理这个查询：{reason}",
    bad_picture="无法使用这张图片：{reason}",
    bad_labels="无法使用这些标签：{reason}",
    bad_library="无法使用照片库：{reason}",
    bad_model="无法使用模型：{reason}",
    not_there="已找不到这个项目，请重新搜索：{reason}",
    busy="正在处理另一项工作，请稍后再试：{reason}",
    no_photos_yet="还没有可搜索的照片，请先加入文件夹：{reason}",
)

ALL = (ENGLISH, TRADITIONAL, SIMPLIFIED)


def preferred(accept_language: str) -> Texts:
    """The texts that an Accept-Language header asks for first among those there are; else English."""
    for tag in _by_preference(accept_language):
        language, *more = tag.lower().split("-")
        if language == "en":
            return ENGLISH
        if language == "zh":
            return TRADITIONAL if {"hant", "tw", "hk", "mo"} & set(more) else SIMPLIFIED
    return ENGLISH


def _by_preference(accept_language: str) -> list[str]:
    """The header's tags, the most wanted first (RFC 9110, 12.5.4); those it refuses or misspells left out."""
    wanted = []
    for item in accept_language[:1000].split(","):
        tag, _, quality = item.strip().partition(";q=")
        try:
            weight = float(quality or 1)
        except ValueError:
            continue
        if tag and 0 < weight <= 1:
            wanted.append((-weight, tag))
    return [tag for _, tag in sorted(wanted, key=lambda pair: pair[0])]
