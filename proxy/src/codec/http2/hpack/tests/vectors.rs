//! Blocks of one connection with their fields, written by the Python package `hpack` 4.2.0: Huffman codes, plain
//! strings, indexes of both tables, evictions and changes of the table size.

/// A block in hex, and its fields in order.
pub(super) const BLOCKS: &[(&str, &[(&str, &str)])] = &[
    (
        "40a2147158917ff4334a469fffed1352fbbe7a35ffdffe9d3e81ffdeb1fa4448e9d9f407aa6de29251842dc8f0a48df69c2019232469e03928ca0209c011b91b75a6df6e30b8018190b2478a26d97f",
        &[(
            "2b_rt2~1gfc49~lgm97xj4~~oty0~kbys_sjq9s1",
            "58ecfa115d82db946c03c3c4806fae0c260c5d574595b160a0313c8e2539",
        )],
    ),
    (
        "4090ed5fff44d780594cb4980d824f4cfb278804723ce05d900d7f6196d07abe941054d444a8200595040b8166e36053168dff4090b7ca3a2fd99e920db6daf0d91a1770ff8a7bc9ffae1fdffac3e05f62a0fbdf7bfff5bfe68e9ef30306e5f3684bfffa0c3dfffbaf97f5e7fcf8edff77a240899acac8b24d494f6a7f95c42d306cfff39fafe56b8e87fedbfffbff7ff26e1f4083f2b0ff82fdfd40818f823e7f",
        &[
            ("qp~24w0rmfmi050dy3zc", "0bd8617d04"),
            ("date", "Mon, 21 Oct 2013 20:13:50 GMT"),
            ("uxsj.q3jda554w5c42v1", "8xo(U)'Fw2"),
            ("etag", ";TC{u?MjzK0ES.KMt9@1Av~PW(x?&q>C_"),
            ("grpc-timeout", "G2N=Q^Yy\"-:71>5`>|gU"),
            ("x-a", "ZZ"),
            ("b", "oL"),
        ],
    ),
    (
        "77c3fdfffedfffe7fffeffea9fbfbfbfffc7ffff829fbfbffffd5fbfffdbfffcffffdffffe3fffeefefeffff1ffff77f7f7ffffabf7f7f7f7f7f7f7f7f7f7fff8ffffbbfbf60833490356196d07abe941054d444a8200595040b8166e32ca98b46ff4089f2b585ed6950958d27819b4086b69246ff78a989cf7f1933437a2e15ff",
        &[
            ("set-cookie", "Z€Z ZZZü ZZ\tZ€éZZéZZ\tZZZZZZZZZZéZ"),
            ("cookie", "id=4"),
            ("date", "Mon, 21 Oct 2013 20:13:33 GMT"),
            ("x-request-id", "g"),
            ("umcb9v_m", "LDHcKAC_Up"),
        ],
    ),
    (
        "60833490337f019fcbf53642db4cd9c40d7f8bffecffd726edffeffff0ba2ee56f471fe3fd5efd7f07dffffffafffffbfffff27fff37effff1ffffe1fbfbfbfbfbfaa7efffff57efefefefefffff57fff6ffff3ffff7ff7fff8fffff0fdfffffafffffbfffff27fff37efefefffffd7ffffdfffff93fff9bf7f7f7fff8fffff0fffedfffe7fffeffef7f09808340a0e8359c5c2d3a37a8edebbf8a6a67d1ada5f9a2f6d38b5bee4f52466459fc7f1fb8bb9f5a0dcfe7ffbfd8705bfff5b999e717d5b569efe70c9f7feb453fffc31fbffe7fdfff33bc69d663eb5d7334ea73c5fc6a5bc971fd2ee782",
        &[
            ("cookie", "id=3"),
            ("x-request-id", "J,gIeumgL20PX.[o(W5u~\\B2ve5MV!'CZ"),
            ("x-a", "😀ZüZZZZZZ Z\tZZZZZ\t€ZüZ😀ZZZ😀ZZZü€Z"),
            ("grpc-timeout", ""),
            (":method", "POST"),
            (
                "ja-6.147a8lqyvwmn3yium9g_z46-uzdydbisr!!",
                "BLPsiY*~)1Eu`5g3Y_,unNvxFd;'Mm\\Hz]>]L8ih-/,Ppg47tL_!O-xeH,.6",
            ),
            (":method", "GET"),
        ],
    ),
    (
        "b7409f69dec26431cebcf6b31b5d6a9bb4de7a5357bffece6f6f99137696725288ac94beee7e7a3de6e1d962e77ff7ff3ff95fff537ffd",
        &[
            ("set-cookie", ""),
            (
                "47q231bh.hu3b4kngqgxjmnz~hiz9isgqfhcms_r",
                "D7LYMzKUq-eL9Z$$.@g`",
            ),
        ],
    ),
    (
        "400c62653875647a3578673934340129400b7472616365706172656e740a48625452265c68485b51400c39626521647a342d726d7237217d6f3a3161744e4e2d253e6f3b3d74584a77525672685d456c386e3d57522335407f06585a5a5af09f98805a5a5a095ac3a95a5a5a09f09f98805a5a5a5a5a205a5a5a5a5a5ac3bc5ac3bc5a5a5a5a09c3a95af09f9880c3a9c3a95a5ae282ac095ae282ac5ae282ace282ac5a09e282acc3a95a5ac3a9c3bc5a5a5a402871387e366c343175216330377139356e5f77786f7530385f62777e6736736b7e322e797a67727e70214a3e2f533f3a564e3b3c532f585f3e792e30592a4a7c2277442726462d464f3a53",
        &[
            ("be8udz5xg944", ")"),
            ("traceparent", "HbTR&\\hH[Q"),
            ("9be!dz4-rmr7", "}o:1atNN-%>o;=tXJwRVrh]El8n=WR#5@"),
            (
                "x-request-id",
                "ZZZ😀ZZZ\tZéZZZ\t😀ZZZZZ ZZZZZZüZüZZZZ\téZ😀ééZZ€\tZ€Z€€Z\t€éZZéüZZZ",
            ),
            (
                "q8~6l41u!c07q95n_wxou08_bw~g6sk~2.yzgr~p",
                "J>/S?:VN;<S/X_>y.0Y*J|\"wD'&F-FO:S",
            ),
        ],
    ),
    (
        "3fb10f779e5ffedefebefccef174341bb5ddffe7bffeadd5cbd9c17df62c95bd3fdf1fa2",
        &[
            ("set-cookie", ".>8(;xh8eM41BpB]z~-k6CL0D9/rf5N)V"),
            ("etag", ""),
        ],
    ),
    (
        "400173056562363661824001691444656b49482952725344356e602c54633f214f5b770153410b6578616d706c652e636f6d90",
        &[
            ("s", "eb66a"),
            (":method", "GET"),
            ("i", "DekIH)RrSD5n`,Tc?!O["),
            ("set-cookie", "S"),
            (":authority", "example.com"),
            ("accept-encoding", "gzip, deflate"),
        ],
    ),
    (
        "6196d07abe941054d444a8200595040b8166e09f53168dff408bb7f87865ef57ff7b77adcfbd57ebfebf0ff8f87c7ff3ff8b648357ffdfe3fd978fe2d87fc3fff7041db2ec5feb87ffdbdff7af6e6e9ffcd6f0c2b41fbfefd3df5ffaf1ee327fbffd7f904089087abfea2f055c232792dfffac7537af569abe7e16e5fd59a58a15af8284778aabeff7faffdf989678df",
        &[
            ("date", "Mon, 21 Oct 2013 20:13:29 GMT"),
            (
                "u!8aevn~qvp6",
                "%,#XoX91w]]-I=O`!+eVX-F?o~E=qJQ.,U`C>PRKj]P8a1-=Z+y8,@wzbc+@",
            ),
            ("accept-encoding", "gzip, deflate"),
            ("11k9y_we.1ac", "T@Hn5PONn*&-W(rN/l%p"),
            (":method", "GET"),
            (":path", "/"),
            ("set-cookie", "n;Z([x_-8i"),
        ],
    ),
    (
        "401461642e3467333170626a6f686d5f3469707e6c33026e427f1005786f5f5b2e877f120044092f612f623f633d32337f0d0a4f7a4939354a3140705c5f106170706c69636174696f6e2f67727063",
        &[
            ("ad.4g31pbjohm_4ip~l3", "nB"),
            ("grpc-timeout", "xo_[."),
            (":scheme", "https"),
            ("x-a", ""),
            (":path", "/a/b?c=23"),
            ("x-request-id", "OzI95J1@p\\"),
            ("content-type", "application/grpc"),
        ],
    ),
    ("82", &[(":method", "GET")]),
    (
        "84827f00893ebdbfce8e3f522f37",
        &[
            (":path", "/"),
            (":method", "GET"),
            ("x-request-id", "oPR\"MV,d.g"),
        ],
    ),
    (
        "408ae8096af4ba699bdd0bff895bb17fcc215bff5d9a408f897e87a267ab221ef3e7b12c91f4d182d1a7",
        &[
            ("j0fny.tmgzl.", "-qe?F1-@q4"),
            ("_.jolg8pcs8xxqcrd9tl", "MN"),
        ],
    ),
    (
        "7f05866e6fcfffbfdf8440a0b171d93ade48fdb3369eacce0f68f3d83fc53dfd55fc7a325d44cdc757aece7f8f0b2d3aeb407c2d3608d9295d9657ff7f08bac1b1757d328fffdffafe332c4abffeffea2f6affcfff618e6c3f98efca4d3fdffe7fd6bb1e9fff5fffc397f13ede70b2b60d185f0b340f0dbd8162bdfaffaffcea13de7fd54f7f8dc777ffcd0187ebff9ffdf3879970f4ed9dbbf055ffd6aab3d417aaa7fdff1fec7e60fffb4ff1ffbffd62ffaf7bc72ffdff",
        &[
            ("x-a", "5gX`)"),
            (":path", "/"),
            (
                "r.arh-xc9ug5tk3h0zsxq1!mvyn!yit7sg5bnyq6",
                "134774091450b3ee7ff9",
            ),
            (
                "grpc-timeout",
                "EQ.%y3s{@!K-cn`@_z%|}AbgFXHDfcN)$'Pr8h@\\W!hRYA3-EMF913laFuq0",
            ),
            (
                "etag",
                ",#$O28x'n8?5bB^M1A,]~xFYeFjqL5D=n~4nry=Cnm+!+ax=`m![@G#zTaf>",
            ),
        ],
    ),
    (
        "7f00ff3dfdfffe3ffffc3fff8ffffbbfbfbfffc7ffff87efefefeffff6ffff3ffff7ff7f7ffffebffffefffffc9fffcdfffff5fffff7ffffe4fffe6fdfdfdfffffafffffbfffff27fff37fff6ffff3ffff7ff54fffffafffffbfffff27fff37fff1ffffe1fbfbfbfbfffc7fffddfdfdfffffafffffbfffff27fff37efefefefefefffffd7ffffdfffff93fff9bf7ffffebffffefffffc9fffcdfbfbfffff5fffff7ffffe4fffe6fdffffea53f7f7f7f7f7f7f7f7f7fffb7fff9ffffbffbfbfbf7f1985be15bffd077f008f8dc195a6c2eb32491b6d91d91f75cf7f008117c9",
        &[
            (
                "grpc-timeout",
                "ZüéZZüZZZZ€ZZ😀😀ZZZ😀€Z 😀üZZZZéZZ😀ZZZZZZ😀Z😀ZZ😀Z\t ZZZZZZZZZ€ZZZ",
            ),
            ("traceparent", "D1-}0"),
            ("grpc-timeout", "b6ae45173ddb55c7d976"),
            ("traceparent", "2"),
            ("content-type", "application/grpc"),
        ],
    ),
    (
        "7e807e82923f408766b962a5df4bff85bdfeffb463847f0393cdfff7f959de14c3959c7ff20e84685ff6d7c7",
        &[
            ("traceparent", ""),
            ("traceparent", "db"),
            ("3pf_m7y.", "C+)sH"),
            (":path", "/"),
            ("grpc-timeout", "K`\"-7UmAJ3H|=jc42>4&"),
        ],
    ),
    (
        "44082f612f623f633d3040017202713344092f612f623f633d3134",
        &[(":path", "/a/b?c=0"), ("r", "q3"), (":path", "/a/b?c=14")],
    ),
    ("d3", &[("x-a", "")]),
    ("", &[]),
    (
        "3fe11fd0d34083a995bf9fefffbff9fff7eff98f507bc58f3e4d6bf1c553abc40fce1e26ffddd773dc2f408ff02b6672c049e5cf5d23f406c5215c81b7d24090eddde667f2b44d1040449e3ffad2e937ff38fdfdfdfdffffeafffffafffffbfffff27fff37efefefefefefeffff1ffffe1fbfbfbfffff5fffff7ffffe4fffe6fffffafffffbfffff27fff37fff1ffff77f7f7fff8ffffbbfbfffc7ffff87ffffd7ffffdfffff93fff9bfff8ffffbbfbfffc7fffddfdfdfdfdfdfdfdfdfdfdfdfdfffffafffffbfffff27fff37fff1ffffe1ffffd5fbfbfffff5fffff7ffffe4fffe6fffffafffffbfffff27fff37efefefeffff1ffff754fdfffe3ffffc3f7f7f7fffb7fff9ffffbff",
        &[
            ("content-type", "application/grpc"),
            ("x-a", ""),
            ("n3-", "v[|`;\"bO1v_HLIP.VGn7._0XUwg[B7L:e"),
            ("w2ug6r0dx6yjby052de6", "u"),
            ("content-type", "application/grpc"),
            (
                "qv83hx-_4c20sdw~4.ti",
                "ZZZZ\t😀ZZZZZZZüZZZ😀😀éZZéZü😀éZéZZZZZZZZZZZZ😀ü\tZZ😀😀ZZZZé ZüZZZ€",
            ),
        ],
    ),
    ("", &[]),
    (
        "837f07826c9f4086b494b54d681795e5b327ff98b8ffd71e77be3ebe3e2e3bfbfe7fd6ef7f078471b1321fbb409e08c03b09d9b70fe67e940c92bc61ff11fa5d2e3b5508b0754734c81493ff9697f9ffe62c5ffed53f63c1ffdfcc5ff7fffbff3be283608334900b",
        &[
            (":method", "POST"),
            ("traceparent", "5c"),
            ("ucm4mps2", "WQI^GV#VYC&,&&:7Z?#S"),
            ("grpc-timeout", "65231"),
            ("vary", ""),
            (
                "1a0arcq56oxhjlacf8ia!by.t67nlsranbggs2dh",
                "f\"]GG}nhqo=~XG>{$T_=",
            ),
            ("cookie", "id=2"),
        ],
    ),
    (
        "83d8",
        &[(":method", "POST"), ("content-type", "application/grpc")],
    ),
    (
        "6196d07abe941054d444a8200595040b8166e09b53168dff87bb7f1984c28fd99f6196d07abe941054d444a8200595040b8166e05953168dff90",
        &[
            ("date", "Mon, 21 Oct 2013 20:13:25 GMT"),
            (":scheme", "https"),
            ("vary", ""),
            ("x-request-id", "FsZg9"),
            ("date", "Mon, 21 Oct 2013 20:13:13 GMT"),
            ("accept-encoding", "gzip, deflate"),
        ],
    ),
    (
        "836285c77fe0167f4081ab93ff8e2f9fe15f957f889faef34cbc9fffdeffefa2e7",
        &[
            (":method", "POST"),
            ("etag", "HD&0r"),
            ("n", "|6.L&%*%!_9pC438t{z>"),
            ("etag", ""),
            (":authority", "example.com"),
        ],
    ),
    (
        "4014796d3733336b693839326d2d217465655f5f6778054f4d53503f40016b21453a585e34287b79424b45225466764143733062713557725c352c7c4d462a7b30400375747e0a5c53236f3e765d6f23797a0e677270632d676f2f312e36302e307702c3a97f0b007f200171",
        &[
            ("ym733ki892m-!tee__gx", "OMSP?"),
            ("k", "E:X^4({yBKE\"TfvACs0bq5Wr\\5,|MF*{0"),
            ("ut~", "\\S#o>v]o#y"),
            ("user-agent", "grpc-go/1.60.0"),
            ("set-cookie", "é"),
            ("grpc-timeout", ""),
            ("x-a", "q"),
        ],
    ),
    (
        "a283877e8bdef971affffc26ebff9d1f84",
        &[
            ("etag", ""),
            (":method", "POST"),
            (":scheme", "https"),
            ("x-a", "T9eH.\\gk$M"),
            (":path", "/"),
        ],
    ),
    (
        "4082497f864d833505b11f7f11bbf8bec8fa562e3fffc27691a7872ffcff173d63fffe1a18ae0ff591be3cbc7ff3f326dbb8a2ffcffff0b7e811f1bd7a8c9c79d5bba8feba93ffce1f409199b8fc79a3ffb2005e7bd9147fc33e025f91b7c75d7de1ee4f9d95fbc2c7f5b77fa75e7f04829daf4083b6b07f80",
        &[
            ("te", "trailers"),
            (
                "traceparent",
                "&D3ajp2V\\h4sNUW$!:yH\\M/p='I5VWw]XIRBG_$\\u,0bVCClIVYnSka,kc^U",
            ),
            ("g5bwxl~d02xvr_b!3w1e", "uwkPvAvc*QpzF/(RTy78"),
            ("grpc-timeout", "h4"),
            ("up0", ""),
        ],
    ),
    (
        "7f04befe9effee7dbfff31d573fe7d07f5ebffe7ecff9dffff64fdfff3ff9ffafea3438b6a77ffe7c5edd7b06affef0b777f1b3fcff97ee640db3f5b987f9f5fc7",
        &[(
            "x-a",
            "(8~LR<Hn:|,1Z8D?ZhXv{IZ^]@(bs6-O7<&CSCEO~UuS!Q?|D:I1uhk:F\"y!",
        )],
    ),
    ("", &[]),
    (
        "4083917a3fa2d10ebe717ff3a07ebffe6317ffcd979f1ffd6bfffbb1b07fb5fffd3fbffe7fceb722408bf127ff7ffbe5d7cd3919e9ba3ebff78bfff87efdffd024d3feba604c1f3f57b2c0a939a2af33fff9fc5d3c5fb96bffaafce7e16605688b464fff3b053ffb733f0fff49fffb7fbbed4090a1be9d8cfda58bb56e0fb23d53e5b27f80608334903d",
        &[
            ("d.l", "MAPY_]j1,<H2<QC9a#P`Q50+.}oz]|k:_"),
            (
                "wd~~x79ihc3j",
                "oP+G\\Z;#0dN'jEt=*,CJ=%cYsnxh^!Bo_ZJp#pxLUrE%l_MI^q1t[6LU}c{T",
            ),
            ("vary", ""),
            ("content-type", "application/grpc"),
            ("l5jqi9ue_qp6aqsymx5c", ""),
            ("cookie", "id=8"),
        ],
    ),
    ("", &[]),
    (
        "7f05bfda2cdff5237d3ff5f1fe95f6e4f8237fffe0bfebff3db97fff0ff7f40dffffc057fb67dfd3953273ffbe59fedcffd78fefde9ffcfff3fff6ea1e46effafeabc8847e86fffe3ffffc3f4487606c47fe12073f",
        &[
            (
                "grpc-timeout",
                "R2K#d5j@&'%z6hEb9<2#$qW\\+,0T\\2DqLTjWmdY>WL;6@w)zN$]{Sl8sS#(p",
            ),
            ("te", "trailers"),
            (":path", "/"),
            ("grpc-timeout", "ü"),
            (":path", "/a/b?c=6"),
        ],
    ),
    (
        "408f9c53c4e804b7f143ccd7d48b5a99ebb3f41fe6ffdfcfac78d3adfdd646c17fc8b519d2fffb772f783f6999b00b46267fe7f78a24bcbc3f09767f7036477b31ffdf8307778ac1ffcc73fff1eab0792fcce840a0ffefba686fb3eb3914459e899bb244794b51cb67417f1675a17a111accc8093f80",
        &[
            (
                "h2h_702-!l83pkc-uthp",
                "y1\"D;*yHHtP9Srb/e?_Oi7e}BJv=Zmg502MG3|)G_t8.A&t7hz=5c7q/~&i1",
            ),
            ("set-cookie", "E]Hh]8nExe"),
            ("te", "trailers"),
            ("traceparent", ""),
            ("~zml5q9-6__ehlg5rdsxt4bfrj2!rkl.lsb-3d0d", ""),
        ],
    ),
    (
        "4083127dff82ff2082b7d37781fd",
        &[
            ("2tz", "?="),
            (":method", "GET"),
            ("set-cookie", ""),
            ("user-agent", "grpc-go/1.60.0"),
            ("set-cookie", "Z"),
        ],
    ),
    (
        "90408a59e6bf87ff89c0bd139b82c37bd0",
        &[
            ("accept-encoding", "gzip, deflate"),
            ("-84!9!h0.lhi", "FC"),
            ("te", "trailers"),
        ],
    ),
    (
        "62214d274375606a62495e3c744e4678405a7d7d754c5c504b5a2e513c7b48454b2174611d4d6f6e2c203231204f637420323031332032303a31333a343020474d54b782",
        &[
            ("etag", "M'Cu`jbI^<tNFx@Z}}uL\\PKZ.Q<{HEK!t"),
            ("date", "Mon, 21 Oct 2013 20:13:40 GMT"),
            ("set-cookie", ""),
            (":method", "GET"),
        ],
    ),
    (
        "600469643d367f093c656331393637633531326437386132333161363264326163646439646466373061363138643062636330336638333062326436393263326139636639",
        &[
            ("cookie", "id=6"),
            (
                "grpc-timeout",
                "ec1967c512d78a231a62d2acdd9ddf70a618d0bcc03f830b2d692c2a9cf9",
            ),
        ],
    ),
    (
        "40082e63666f386f65300a475f5c65263a75647252d584",
        &[
            (".cfo8oe0", "G_\\e&:udrR"),
            ("te", "trailers"),
            (":path", "/"),
        ],
    ),
    (
        "409feb1f599026e514cb4d64ee50073bf7eb479f086e669717f07a5164e4e9ee5f94ebe6bebffe17ffce74eef5fc6ff3cb07fd6f7c1f6083349007834087b656eb73cff01f81fb7f14811f40898c8d23bd1212d4f4af847ca01cbf4487606c47fe120645",
        &[
            (
                "kbkgs25f2g-grh6l06vvklxws5g4.2!omsrhcjzf",
                "kxpk^e^YmSy!TxWE#T90",
            ),
            ("cookie", "id=1"),
            (":method", "POST"),
            ("uf5p6x!1", ";"),
            ("x-a", "a"),
            ("bc4svldcutjp", "9e0af"),
            (":path", "/a/b?c=32"),
        ],
    ),
    (
        "409e73c58e78efe1c10e70cc6433da298a9b2901e2025ff3594dded73cfb93cf9879a7cac806fbf281d1bd2cb1cacc8371f7dd214658dd91ef",
        &[(
            "6wr6wvw62ah1gis3q_getrm0o_0t9xpeivu6xzdx",
            "849e30a99f07a8ffbf3da6997ceaeb7d8",
        )],
    ),
    (
        "eae17f29baffdb717f1ff5072afc1f16587bede625bffe79f8f14fdc189cfe737fe64bfa7ceccec01a65ce9dbff8cc7d2cfca33ffa63fff83e8fbcbfff747f",
        &[
            ("cookie", "id=2"),
            ("user-agent", "grpc-go/1.60.0"),
            (
                "x-request-id",
                "[5_!#=WpwoGJAvRY2-<x&wm;=G6\"K$dDNxQL/0436jq]3bjrXlL'/\\9s;J`M",
            ),
        ],
    ),
    (
        "847f0385e5455fef67408f332d20312fd1a77d21b5c6b76e937b83ffdddf40a065cee8b69425777c4fee8e81988faf64e3415d9bffbe7ffb6bd1511b337f152da2fdfffedfffe7fffeffefefefeffff1ffffe1fbfbfbfbfbfbfbfbfbfbfffc7fffddfd4090abbf86bd93f8abc197b3a54cbc6590bf9db7c7fbe52d6fdb1fff44e491e24c41e62d5fff24766ffe265f623dbb7f7f0cbae7afffca16ffe7fe747ff8f953222fffd23fbff8ffafffbf12c1f40863e6f982b71a30e69bbf0fbffa6a8f698bff4ea59d7ffbffbe9fcff05fef82",
        &[
            (":path", "/"),
            ("x-a", "Wln+Q"),
            ("i34s1_.j47ys5.a-qjgz", "[B"),
            (
                "36vsumst.7whzlj1gc9.rhase7g~x~u8_lb3g!n-",
                "Z€ZZZZüZZZZZZZZZZéZ",
            ),
            ("nvw4zc!nwi.rjn38i-s.", "uw+Wfp9ub~26dbGt_1Y2O<d7g]tfz2ouR"),
            (
                "grpc-timeout",
                "YP^l-]$M^9etdsD#s)|9y`&f=,0AbY9i1-VlFKgvU;#4lzt_@7t3P[>j\"!e)",
            ),
            (":method", "GET"),
        ],
    ),
    (
        "41882f91d35d055c87a77f0481cf4088fe2667f85a35bdff81df7f0281174090e9de9ec2b7bf8183b8e30faf60f1d3a784c1e93f80778a2fee3dfd95f8fff0db3f40816f84becfa16a",
        &[
            (":authority", "example.com"),
            ("x-a", "L"),
            ("!g3!-b-z", "T"),
            ("grpc-timeout", "2"),
            ("jvmq2uvwa0vab1yz0wjj", "EytX0"),
            ("set-cookie", "eZHTq%&^iQ"),
            ("5", "D3y2O"),
        ],
    ),
    ("7f048271ef", &[("x-a", "68")]),
    (
        "77016662147c2f3b227a50562c497b4a3e3a73797635445d35400c676d7e37346171626f68332e00",
        &[
            ("set-cookie", "f"),
            ("etag", "|/;\"zPV,I{J>:syv5D]5"),
            ("gm~74aqboh3.", ""),
        ],
    ),
    (
        "400c376f396b6e30617765705f680564654c7d51600469643d35f4400c6a35752d656721326d3338762136707764226e455f2335506b6c7d59305f47645373787369623d405767573c766a",
        &[
            ("7o9kn0awep_h", "deL}Q"),
            ("cookie", "id=5"),
            ("user-agent", "grpc-go/1.60.0"),
            ("j5u-eg!2m38v", "6pwd\"nE_#5Pkl}Y0_GdSsxsib=@WgW<vj"),
        ],
    ),
    (
        "77817f7f31804081b383ff9fbf7f0c92a667ffea8ff726026ee22a29ffe358737e5d",
        &[
            ("set-cookie", "9"),
            ("traceparent", ""),
            ("r", "|Z"),
            ("grpc-timeout", "mg9#l+dEcSV2lm]4FKXB"),
        ],
    ),
    (
        "7782e5ef6196d07abe941054d444a8200595040b8166e05e53168dff409f6d9a3d1fa49346b9024fe3c8c64b0c79a375dadbfe1b5eb7bf8f4ed959e6a792c35c3e59fe3fbf9bbcf49395f87cfa5eafe34082ffef87e1ff7fffc1abff8240817f89e3fdcdffcd941abf21",
        &[
            ("set-cookie", "Wz"),
            ("date", "Mon, 21 Oct 2013 20:13:18 GMT"),
            (
                "53lyojdgb.c1c!xaacriogb77p5!5.p8!y7rpogm",
                "FpAx3!)*BYNcWDAxy.n!",
            ),
            ("~", "U>\\4D"),
            (":method", "GET"),
            ("9", "V)g]Qlipx1"),
        ],
    ),
    (
        "b77f04146a5a563e5c5a634040462a634a30386b6964315987611d4d6f6e2c203231204f637420323031332032303a31333a353620474d547f1d012a401468616b213777212d71695f2d6c776661315f777a00",
        &[
            ("set-cookie", ""),
            ("grpc-timeout", "jZV>\\Zc@@F*cJ08kid1Y"),
            (":scheme", "https"),
            ("date", "Mon, 21 Oct 2013 20:13:56 GMT"),
            ("x-request-id", "*"),
            ("hak!7w!-qi_-lwfa1_wz", ""),
        ],
    ),
];
