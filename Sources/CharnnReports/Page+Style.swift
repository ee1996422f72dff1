extension Page {
    /// Two colours carry meaning, blue for training and vermilion for validation (after Okabe and Ito, so that people see
    /// them apart whatever their eyes); everything else is ink on paper. All pairs reach at least 4.5 : 1.
    static let style = """
        :root{--paper:#fcfbf8;--ink:#1d1f21;--soft:#595d62;--line:#dcdad3;--card:#fff;--bad:#a3260b;--mark:#fbeac0;\
        --s0:#0072b2;--s1:#c44e00;--s2:#00795a;--s3:#a8417f;--s4:#7a6200;--s5:#595d62}
        @media(prefers-color-scheme:dark){:root{--paper:#15171a;--ink:#e6e4df;--soft:#a4a7ab;--line:#33373c;--card:#1c1f23;\
        --bad:#ff9a7a;--mark:#4a3c10;--s0:#62b6ea;--s1:#f0954a;--s2:#3fc19a;--s3:#e08fbf;--s4:#d1b54a;--s5:#a4a7ab}}
        *{box-sizing:border-box}
        html{-webkit-text-size-adjust:100%}
        body{margin:0;background:var(--paper);color:var(--ink);font:1rem/1.55 system-ui,-apple-system,"Segoe UI",sans-serif;\
        font-variant-numeric:tabular-nums}
        main{max-width:66rem;margin:0 auto;padding:3rem 1.25rem 4rem}
        h1{font-size:2.4rem;line-height:1.15;letter-spacing:-.02em;margin:.1rem 0 .8rem;font-weight:650;overflow-wrap:anywhere}
        h2{font-size:1.05rem;font-weight:650;margin:0 0 1rem;padding-top:1.1rem;border-top:1px solid var(--line)}
        h3{font-size:.85rem;font-weight:600;color:var(--soft);margin:0 0 .5rem}
        section{margin:2.6rem 0 0}
        a{color:inherit;text-decoration-color:var(--s0);text-underline-offset:.2em}
        p{margin:0 0 1rem;max-width:44rem}
        small,.note,.axis,.unit,footer,.eyebrow,dt,summary{color:var(--soft)}
        .eyebrow{font-size:.85rem;margin:0}
        .lead{font-size:1.15rem;line-height:1.5}
        .bad{color:var(--bad)}
        .note{font-size:.875rem;margin:.7rem 0}
        .state{margin-left:.5rem;padding:.1rem .55rem;border:1px solid currentColor;border-radius:1rem;font-size:.75rem;white-space:nowrap}
        .state.failed,.state.rejected{color:var(--bad)}.state.active{color:var(--s0)}
        .facts{display:grid;grid-template-columns:repeat(auto-fill,minmax(10.5rem,1fr));gap:1.3rem 1.6rem;margin:2rem 0 0}
        .facts div{min-width:0}
        dt{font-size:.8rem}dd{margin:0}
        dd b{display:block;font-size:1.45rem;font-weight:600;letter-spacing:-.01em;line-height:1.3}
        div.broad{grid-column:span 2}dd b.long{font-size:.95rem;font-weight:500;letter-spacing:0;line-height:1.4;padding-top:.2rem}dd small{font-size:.8rem}
        .warnings li{margin:.3rem 0}.warnings ul{padding-left:1.1rem;margin:0}
        figure{margin:0 0 1.8rem}
        figcaption{display:flex;flex-wrap:wrap;gap:.1rem .7rem;align-items:baseline;font-size:.875rem;margin-bottom:.6rem}
        .unit{font-size:.8rem}.keys{margin-left:auto;display:flex;flex-wrap:wrap;gap:0 1.1rem}
        .key svg{width:1.5rem;height:.5rem;margin-right:.35rem;overflow:visible}.key b{font-weight:600}
        .plot{position:relative;margin-left:3.2rem;border-bottom:1px solid var(--line);touch-action:pan-y}
        .plot>svg{position:absolute;inset:0;width:100%;height:100%;overflow:hidden}
        .plot i{position:absolute;font-style:normal;font-size:.75rem;color:var(--soft)}
        .plot i b{font-weight:400;position:absolute;white-space:nowrap}
        i.y{left:0;right:0;border-top:1px solid var(--line)}i.y b{right:100%;transform:translateY(-50%);padding-right:.5rem}
        i.x{bottom:0;height:.35rem;transform:translateY(100%);border-left:1px solid var(--line)}i.x b{top:.4rem;transform:translateX(-50%)}
        i.level{left:0;right:0;border-top:1px dotted var(--soft)}i.level b{right:0;bottom:.1rem;background:var(--paper);padding:0 .25rem}
        i.best{width:.8rem;height:.8rem;border:2px solid;border-radius:50%;transform:translate(-50%,50%)}
        .plot i.k0{color:var(--s0)}.plot i.k1{color:var(--s1)}.plot i.k2{color:var(--s2)}.plot i.k3{color:var(--s3)}\
        .plot i.k4{color:var(--s4)}.plot i.k5{color:var(--s5)}
        i.cut{top:0;transform:translateX(-50%)}.plot i.cut{font-size:.6rem;line-height:1}
        .axis{font-size:.75rem;text-align:right;margin:1.5rem 0 0;max-width:none}
        polyline,path{fill:none;stroke:currentColor;stroke-width:1.75;stroke-linejoin:round;vector-effect:non-scaling-stroke}
        .dots{stroke-width:6;stroke-linecap:round}
        .s0{stroke:var(--s0)}.s1{stroke:var(--s1)}.s2{stroke:var(--s2);stroke-dasharray:7 3}.s3{stroke:var(--s3);stroke-dasharray:2 3}\
        .s4{stroke:var(--s4);stroke-dasharray:9 3 2 3}.s5{stroke:var(--s5)}
        path.dots{stroke-dasharray:none}
        .key{stroke:none}.key.s0 path{stroke:var(--s0)}.key.s1 path{stroke:var(--s1)}.key.s2 path{stroke:var(--s2)}\
        .key.s3 path{stroke:var(--s3)}.key.s4 path{stroke:var(--s4)}.key.s5 path{stroke:var(--s5)}
        .pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(17rem,1fr));gap:0 2rem}
        .cursor{position:absolute;top:0;bottom:0;width:1px;background:var(--soft);pointer-events:none}
        .tip{position:absolute;top:.3rem;z-index:1;pointer-events:none;background:var(--card);border:1px solid var(--line);border-radius:.3rem;\
        padding:.35rem .6rem;font-size:.8rem;line-height:1.45;white-space:nowrap;box-shadow:0 2px 8px #0002}
        .tip b{font-weight:600}
        .bars{display:grid;gap:.55rem;max-width:46rem}
        .bar{display:grid;grid-template-columns:minmax(8rem,17rem) 1fr 3.2rem;gap:.8rem;align-items:center;font-size:.9rem}
        .bar i{height:.7rem;background:none}.bar em{display:block;height:100%;background:var(--soft);opacity:.55;border-radius:0 .15rem .15rem 0}
        .bar.own em{background:var(--s1);opacity:1}.bar.own{font-weight:600}.bar.own small{font-weight:400}.bar b{text-align:right}
        article{margin:0 0 2.2rem}
        .text{font:1.02rem/1.6 Charter,"Iowan Old Style",Georgia,"Liberation Serif",serif;white-space:pre-wrap;overflow-wrap:anywhere;max-width:44rem}
        article .text{max-height:34rem;overflow:auto;padding:0 1rem 0 0;background:\
        linear-gradient(var(--paper),var(--paper)) bottom/100% 1rem no-repeat local,linear-gradient(transparent,var(--line)) bottom/100% 1rem no-repeat}
        mark{background:var(--mark);color:inherit;border-bottom:2px solid var(--s1)}
        .samples{list-style:none;margin:0;padding:0}
        .samples li{display:grid;grid-template-columns:9rem 1fr;gap:1rem;padding:1rem 0;border-bottom:1px solid var(--line)}
        .samples li:last-child{border:0}.when{margin:0;font-size:.85rem}.when span{display:block;color:var(--soft)}
        details{margin:.6rem 0}summary{cursor:pointer;font-size:.9rem;padding:.25rem 0}
        .wide{overflow-x:auto}.more{font-size:.8rem;color:var(--soft);margin:.3rem 0 0}
        table{border-collapse:collapse;font-size:.875rem;width:100%}
        th,td{text-align:left;padding:.4rem .9rem .4rem 0;border-bottom:1px solid var(--line);vertical-align:top}
        th{font-weight:600;color:var(--soft)}
        .numbers td,.numbers th,td.n,th.n{text-align:right;white-space:nowrap}.numbers{width:auto}
        .keys td{overflow-wrap:anywhere}table.keys{display:table;margin:0}.keys th{font-weight:400;white-space:nowrap;width:1%;padding-right:2rem}
        .quote{white-space:pre-wrap;overflow-wrap:anywhere;font-family:Charter,Georgia,"Liberation Serif",serif;min-width:14rem}
        .text-group{margin:1.4rem 0 .7rem}
        .cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(17rem,1fr));gap:1.2rem}
        .card{margin:0;background:var(--card);border:1px solid var(--line);border-radius:.5rem;padding:1rem 1.1rem;min-width:0}
        .card .state{margin:0 .35rem 0 0}.card h3{font-size:1rem;color:var(--ink);margin:0;overflow-wrap:anywhere}.card p{font-size:.85rem;color:var(--soft);margin:.2rem 0 0}
        .card .score{float:right;font-size:1.35rem;font-weight:600;color:var(--ink);margin:-.15rem 0 0 .6rem}
        .card .score small{display:block;font-size:.68rem;font-weight:400;text-align:right;line-height:1}
        .mini{display:block;width:100%;height:4.2rem;margin:.8rem 0 .5rem;border-bottom:1px solid var(--line)}
        .problem{border-left:3px solid var(--bad);padding:.1rem 0 .1rem 1rem;margin:0 0 1.2rem}.problem p{margin:.15rem 0;overflow-wrap:anywhere}
        footer{margin-top:3.5rem;font-size:.8rem;border-top:1px solid var(--line);padding-top:1rem}
        @media(max-width:40rem){main{padding:1.6rem 1rem 3rem}h1{font-size:1.8rem}.lead{font-size:1.05rem}
        .samples li{grid-template-columns:1fr;gap:.3rem}.when span{display:inline;margin-left:.5rem}
        .facts{grid-template-columns:1fr 1fr;gap:1rem}dd b{font-size:1.2rem}.keys{margin-left:0}
        .bar{grid-template-columns:1fr 3.2rem;gap:.1rem .8rem}.bar i{grid-row:2}.bar b{grid-row:2}
        .plot{margin-left:2.6rem}}
        @media print{body{background:#fff;color:#000}details>*{display:block}}
        """

    /// Shows the values under the pointer, and says where a table is wider than the window. The page says all that
    /// matters without it.
    static let script = """
        for(const w of document.querySelectorAll('.wide')){const m=document.createElement('p');m.className='more';
        m.textContent='There is more to the right →';
        const look=()=>{w.scrollWidth>w.clientWidth+1&&w.scrollLeft+w.clientWidth<w.scrollWidth-1?w.after(m):m.remove()};
        w.addEventListener('scroll',look);addEventListener('resize',look);for(const d of document.querySelectorAll('details'))d.addEventListener('toggle',look);look()}
        for(const f of document.querySelectorAll('.chart')){const p=f.querySelector('.plot');if(!p)continue;
        const lines=[...f.querySelectorAll('polyline')].map(l=>({name:l.dataset.name,v:l.dataset.v.split(' ').map(s=>s.split(',').map(Number)),
        p:l.getAttribute('points').split(' ').map(s=>+s.split(',')[0])}));
        if(!lines.length)continue;const c=document.createElement('div'),t=document.createElement('div');c.className='cursor';t.className='tip';
        const hide=()=>{c.remove();t.remove()};
        p.addEventListener('pointerleave',hide);
        p.addEventListener('pointermove',e=>{const r=p.getBoundingClientRect(),x=(e.clientX-r.left)/r.width*1000;let best=null;
        const near=l=>{let a=0,b=l.p.length-1;while(b-a>1){const m=(a+b)>>1;l.p[m]<x?a=m:b=m}return Math.abs(l.p[a]-x)<=Math.abs(l.p[b]-x)?a:b};
        t.textContent='';const d=+f.dataset.digits;
        for(const l of lines){const i=near(l);if(best===null)best=[l.p[i],l.v[i][0]];const row=document.createElement('div');
        const b=document.createElement('b');const n=l.v[i][1];b.textContent=d&&n&&Math.abs(n)<.001?n.toExponential(2):n.toLocaleString('en',{maximumFractionDigits:d});row.append(l.name+' ',b);t.append(row)}
        const h=document.createElement('div');h.textContent=f.dataset.x+' '+best[1].toLocaleString('en');t.prepend(h);
        c.style.left=best[0]/10+'%';if(best[0]>600){t.style.left='auto';t.style.right=(100-best[0]/10)+'%'}else{t.style.right='auto';t.style.left=best[0]/10+'%'}
        t.style.margin='0 .6rem';p.append(c,t)})}
        """
}
